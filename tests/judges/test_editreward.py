import copy
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.load import load_judge
from spatialreward.judges.questions import perceptual_question, semantic_question
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.protocol.importing import PublicJudge, import_protocol
from spatialreward.records import AnswerForm, JudgementStatus, JudgingOptions
from tests.judges.models import copied, image_processor, small_model, write_model
from tests.protocol.public_checkouts import write_checkout

TOKEN = "<|Reward|>"
KINDS = ("qwen2_5_vl", "qwen3_vl")
HIDDEN = 48


def head(seed):
    """As the published code builds it, with weights that distinguish pictures."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [torch.nn.Linear(HIDDEN, 1024), torch.nn.ReLU(), torch.nn.Dropout(0.05)]
        layers += [torch.nn.Linear(1024, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)]
        return torch.nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def protocol_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("protocol")
    made = import_protocol(write_checkout(folder / "code", PublicJudge.EDITREWARD))
    # Small pictures: what 200,704 pixels are to the published one.
    small = made.model_copy(update={"min_pixels": 2304, "max_pixels": 2304})
    (folder / "heads.json").write_text(small.model_dump_json())
    return folder / "heads.json"


@pytest.fixture(scope="module", params=KINDS)
def parts(request, untrained):
    """Backbone with the added token, and both heads."""
    tokenizer = copy.deepcopy(untrained[1].tokenizer)
    model = small_model(request.param, tokenizer, tied=False)
    model.resize_token_embeddings(len(tokenizer) + 1, mean_resizing=False)
    return model, {f"head_{n}": head(n) for n in range(2)}, tokenizer


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    """The published layout: one file; the config beside it is the backbone's own."""
    model, heads, tokenizer = parts
    folder = write_model(tmp_path_factory.mktemp("editreward") / "checkpoint", model, tokenizer)
    tensors = {name: one.clone() for name, one in model.state_dict().items()}
    for name, one in heads.items():
        tensors |= {f"rm_heads.{name}.{key}": value for key, value in one.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["vocab_size"] = len(tokenizer) + 40
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def edits():
    rng = np.random.default_rng(0)
    source, *edited = (
        Image.fromarray(rng.integers(0, 256, (40, 64, 3), dtype=np.uint8)) for _ in range(4)
    )
    return [Edit(source, one, f"add dog {n}") for n, one in enumerate(edited)]


@pytest.fixture(scope="module")
def judge(folder, protocol_file):
    return load_judge(folder, protocol=protocol_file)


def published(parts, protocol_file, edit, ask, name):
    """Mean and log sigma, step by step as the published code of the backbone has it."""
    from spatialreward.protocol.prompts import Protocol

    model, heads, tokenizer = parts
    protocol = Protocol.read_file(protocol_file)
    own = Processor(tokenizer, image_processor(), None).following(protocol)
    if TOKEN not in tokenizer.get_vocab():
        tokenizer.add_tokens([TOKEN], special_tokens=True)
    inputs = own.encode([ask(protocol, edit)])
    if model.config.model_type == "qwen2_5_vl":
        embeddings = model.get_input_embeddings()(inputs["input_ids"])
        features = model.model.get_image_features(
            inputs["pixel_values"], inputs["image_grid_thw"], return_dict=True
        )
        shown = (inputs["input_ids"] == own.image_token)[..., None].expand_as(embeddings)
        embeddings = embeddings.masked_scatter(shown, torch.cat(features.pooler_output))
        model.model.rope_deltas = None
        states = model.model(
            inputs_embeds=embeddings, attention_mask=inputs["attention_mask"]
        ).last_hidden_state
    else:
        states = model.model(**inputs).last_hidden_state
    logits = heads[name](states)
    number = tokenizer.convert_tokens_to_ids(TOKEN)
    return logits[inputs["input_ids"] == number][0].tolist()


@torch.inference_mode()
def test_scores_are_those_of_the_published_code(judge, parts, protocol_file, edits):
    rewards = []
    for edit, judgement in zip(edits, judge.judge(edits), strict=True):
        assert judgement.status is JudgementStatus.OK
        follows, _ = published(parts, protocol_file, edit, semantic_question, "head_0")
        looks, _ = published(parts, protocol_file, edit, perceptual_question, "head_1")
        rewards.append(judgement.reward)
        fused = math.log(judgement.reward / (1 - judgement.reward))
        assert fused == pytest.approx((follows + looks) / 2, abs=1e-4)
        assert judgement.scores.editing_success == judgement.scores.over_editing
        assert judgement.scores.naturalness == pytest.approx(25 / (1 + math.exp(-looks)), abs=1e-3)
        assert judgement.sc_reasoning.startswith("mean ")
        assert judgement.answer is AnswerForm.SCORES
    assert len(set(rewards)) == len(edits)


def test_an_edit_is_judged_alike_alone_and_in_company(judge, edits):
    for edit, together in zip(edits, judge.judge(edits), strict=True):
        (alone,) = judge.judge([edit])
        assert alone.reward == pytest.approx(together.reward, abs=1e-5)


def test_one_stream_is_one_head(judge, edits):
    def ask(streams):
        options = JudgingOptions(streams=streams)
        edit = Edit(edits[0].source, edits[0].edited, edits[0].instruction, options=options)
        return judge.judge([edit])[0]

    both, sc, pq = ask("both"), ask("sc"), ask("pq")
    assert sc.scores.naturalness is None
    assert sc.reward == pytest.approx(both.scores.editing_success / 25, abs=1e-5)
    assert pq.reward == pytest.approx(both.scores.naturalness / 25, abs=1e-5)


def test_who_judged_and_what_it_cannot_do_is_reported(judge, edits):
    assert judge.identity.aggregation == "mean of heads"
    assert "about -3 to 2" in judge.notice
    assert "predicts no regions, takes 1 source picture" in judge.notice
    assert judge.judge(edits[:1])[0].judged_by == str(judge.identity)


def test_an_edit_that_it_cannot_be_asked_about_fails_alone(judge, edits):
    one = edits[0]
    asked = [
        Edit([one.source, one.source], one.edited, "two"),
        one,
        Edit(one.source, one.edited, "x", options=JudgingOptions(scores="soft")),
    ]
    failures = [judgement.failure for judgement in judge.judge(asked)]
    assert failures == [Failure.BAD_INPUT, None, Failure.NO_SOFT_SCORE]


def test_it_draws_nothing_and_takes_no_adapter(folder, protocol_file, tmp_path):
    with pytest.raises(InvalidInputError, match="draws no answers"):
        load_judge(folder, protocol=protocol_file, passes=2)
    with pytest.raises(InvalidInputError, match="writes no answers"):
        Judge.load(folder, protocol=protocol_file)


def changed(folder, tmp_path, change):
    """A copy with other tensors."""
    other = copied(folder, tmp_path / "copy")
    tensors = load_file(other / "model.safetensors")
    change(tensors)
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    return other


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("rm_heads.head_1.5.bias"), r"rm_heads\.head_1\.5\.bias missing"),
        (
            lambda t: t.update({"rm_heads.head_0.0.weight": torch.zeros(1024, 8)}),
            r"rm_heads\.head_0\.0\.weight: expected \[1024, 48\], got \[1024, 8\]",
        ),
        (
            lambda t: t.update({"rm_heads.head_2.0.weight": torch.zeros(8)}),
            r"rm_heads\.head_2\.0\.weight unknown",
        ),
        (lambda t: t.update({"stray": torch.zeros(8)}), "stray"),
        (lambda t: t.pop("lm_head.weight"), r"lm_head\.weight"),
    ],
)
def test_weights_that_do_not_fit_are_named(folder, protocol_file, tmp_path, change, message):
    damaged = changed(folder, tmp_path, change)
    with pytest.raises(InvalidInputError, match=message):
        load_judge(damaged, protocol=protocol_file)


def test_weights_without_the_added_token_are_refused(folder, protocol_file, tmp_path):
    def shorten(tensors):
        for name in ("model.language_model.embed_tokens.weight", "lm_head.weight"):
            tensors[name] = tensors[name][:-1].clone()

    with pytest.raises(InvalidInputError, match=r"none for <\|Reward\|>"):
        load_judge(changed(folder, tmp_path, shorten), protocol=protocol_file)


def test_a_prompt_without_the_token_is_refused(folder, protocol_file, tmp_path):
    settings = json.loads(protocol_file.read_text())
    settings["perceptual"] = settings["perceptual"].replace(TOKEN, "")
    other = tmp_path / "other.json"
    other.write_text(json.dumps(settings))
    with pytest.raises(InvalidInputError, match=r"perceptual: expected <\|Reward\|> once"):
        load_judge(folder, protocol=other)


def test_a_closed_judge_is_not_asked(folder, protocol_file, edits):
    with load_judge(folder, protocol=protocol_file) as judge:
        pass
    with pytest.raises(Exception, match="has been closed"):
        judge.judge(edits)
