import json
import math
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from spatialreward.data.dataset import Dataset
from spatialreward.data.packing.shards import write_shard
from spatialreward.data.rows import RankingRows
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.judges.load import load_judge
from spatialreward.judges.questions import perceptual_question, semantic_question
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.folder import HEAD_FILE
from spatialreward.judges.qwen_vl.merging import merge_adapter
from spatialreward.judges.qwen_vl.scalar_head import ScalarHead
from spatialreward.judges.scalar import ScalarJudge
from spatialreward.protocol.choice import in_form
from spatialreward.protocol.prompts import TINY, Protocol
from spatialreward.records import AnswerForm, JudgementStatus, Streams
from spatialreward.training.base import Base
from spatialreward.training.config import HeadTraining, JudgeTrainingConfig, OptimiserConfig
from spatialreward.training.graded_collating import GradedCollator
from spatialreward.training.graded_order import graded_conversations
from spatialreward.training.head import attach_head
from spatialreward.training.sft import train_judge
from tests.data.packing.making import make_edit
from tests.training.graded import edits_of_tasks, rankings_of, tasks_of

BOTH = (Streams.SEMANTIC, Streams.PERCEPTUAL)
NAMED = {"instruction_following": "editing_success", "quality_aesthetic": "naturalness"}
CONFIG = JudgeTrainingConfig(
    kind="discriminative",
    num_samples=24,
    perceptual_share=0.5,
    report_every=1,
    save_every=2,
    optimiser=OptimiserConfig(batch_size=6, warmup_steps=1, learning_rate=1e-3),
)
JOINT = CONFIG.model_copy(update={"kind": "joint"})


@pytest.fixture(scope="module")
def place(tmp_path_factory, untrained):
    folder = tmp_path_factory.mktemp("heads")
    checkpoint.save(folder / "base", *untrained, {})
    tasks_of(folder / "data", 4)
    rankings_of(folder / "ranked", 4, NAMED, first=50)
    return folder


def train(place, config, out, data="data", **more):
    """Train a judge for a few steps; returns what was reported last."""
    reported = {}
    train_judge(
        Base(place / "base"),
        config,
        Dataset(place / data),
        out,
        lambda metrics, step: reported.update(metrics),
        **more,
    )
    return reported


@pytest.fixture(scope="module")
def trained(place):
    """A discriminative and a joint judge, and what their trainings reported."""
    reported = {}
    for config in (CONFIG, JOINT):
        reported[config.kind] = train(place, config, place / config.kind)
    return reported


@pytest.fixture(scope="module")
def edits(place):
    return [
        Edit(one.source_images(), one.edited_image(), one.instruction)
        for one in Dataset(place / "data")
    ]


def test_pairs_and_their_accuracy_are_reported(trained):
    for reported in trained.values():
        # Two tasks of three edits in a batch: six pairs on two dimensions, where none is cut.
        assert 0 < reported["pairs/per_batch"] <= 12
        assert 0 <= reported["pairs/accuracy"] <= 1
        assert reported["loss/pairs"] > 0
    assert "loss/known_scores" not in trained["discriminative"]
    assert not any(name.startswith("loss/reg") for name in trained["discriminative"])
    assert {"loss/known_scores", "loss/regions", "loss/scores"} <= trained["joint"].keys()


def test_a_discriminative_judge_scores_and_refuses_to_reason(place, trained, edits):
    folder = place / "discriminative"
    assert Protocol.read(folder).answer is AnswerForm.NONE
    with load_judge(folder) as judge:
        assert isinstance(judge, ScalarJudge)
        assert judge.identity.aggregation == "geometric, scalar head"
        judgements = judge.judge(edits)
    for one in judgements:
        assert one.status is JudgementStatus.OK
        assert one.scores == one.soft_scores
        assert (one.regions, one.sc_reasoning, one.pq_reasoning) == ((), "", "")
        assert one.answer is AnswerForm.NONE
        assert "scalar head" in one.judged_by
    assert len({one.reward for one in judgements}) > 4
    with pytest.raises(InvalidInputError, match="writes no answer, its scores are read from a sca"):
        load_judge(folder, mode="reason")


def test_a_joint_judge_judges_in_either_mode_and_by_default_reasons(place, trained, edits):
    folder = place / "joint"
    assert Protocol.read(folder) == TINY
    with load_judge(folder) as written, load_judge(folder, mode="reason") as asked:
        assert written.identity == asked.identity
        assert written.identity.aggregation == "geometric"
    with load_judge(folder, mode="scalar") as judge:
        assert judge.identity.weights == written.identity.weights
        assert all(one.reward is not None for one in judge.judge(edits))
    with pytest.raises(InvalidInputError, match="a scalar head draws no answers, so 3 passes"):
        load_judge(folder, mode="scalar", passes=3)


@pytest.mark.parametrize("name", ["pixels", "oracle", "triton:a:1", "openai:m@http://localhost/v1"])
def test_other_judges_take_no_mode(name):
    with pytest.raises(InvalidInputError, match="takes no mode, got scalar"):
        load_judge(name, mode="scalar")


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(InvalidInputError, match="mode: expected reason or scalar, got 'fast'"):
        load_judge("pixels", mode="fast")


def test_a_batch_of_unequal_prompts_equals_single_runs_and_training_reads_the_same_token(
    untrained, place
):
    """What the collator has the head read in a padded batch is what the judge reads."""
    model, processor = untrained[0], untrained[1].following(TINY)
    head = ScalarHead(model.config.get_text_config().hidden_size, BOTH)
    torch.nn.init.normal_(head.linear.weight, generator=torch.Generator().manual_seed(1))
    config = JOINT.model_copy(update={"num_samples": 12})
    data = Dataset(place / "data")
    planned, _ = graded_conversations(config, [data], [], TINY, processor, 1)
    graded = [planned[number] for number in range(6)]
    assert len({one.conversation.stream for one in graded}) == 2
    judge = ScalarJudge.of_model(model, processor, head, TINY)
    by_id = {edit.id: edit for edit in data}
    forward = model.forward
    attach_head(model, head)
    try:
        for writes in (True, False):
            batch = GradedCollator(processor, head, writes=writes)(graded)
            columns = batch.pop("columns")
            reported = model(
                **{name: batch[name] for name in ("input_ids", "attention_mask", "read_at")},
                **{name: batch[name] for name in ("pixel_values", "image_grid_thw")},
                mm_token_type_ids=batch["mm_token_type_ids"],
                logits_to_keep=batch["labels"].shape[1] + 1,
                use_cache=False,
            )
            logits = reported["scalars"].gather(1, columns)
            for row, one in enumerate(graded):
                edit = by_id[one.conversation.id]
                stream = Streams(one.conversation.stream)
                shown = Edit(edit.source_images(), edit.edited_image(), edit.instruction)
                ask = semantic_question if stream is Streams.SEMANTIC else perceptual_question
                alone = head(judge._running().last_hidden([ask(TINY, shown)]))
                expected = alone[0, head.columns(stream)]
                assert (logits[row] - expected).abs().max() < 1e-4
    finally:
        model.forward = forward
        del model.scalar_head


def test_the_same_edits_are_judged_alike_alone_and_without_shared_prefixes(place, trained, edits):
    folder = place / "discriminative"
    with ScalarJudge.load(folder) as judge, ScalarJudge.load(folder, share_prefixes=False) as full:
        together = [one.reward for one in judge.judge(edits)]
        alone = [judge.judge([edit])[0].reward for edit in edits]
        assert together == pytest.approx(alone, abs=1e-5)
        assert together == pytest.approx([one.reward for one in full.judge(edits)], abs=1e-5)


def test_a_training_goes_on_after_a_kill_with_its_head(place, trained, tmp_path):
    for name, config in (("joint", JOINT), ("lora", lora(JOINT))):
        whole, again = tmp_path / name, tmp_path / f"{name}-again"
        train(place, config, whole, state_folder=tmp_path / f"{name}-states")

        def stop(metrics, step):
            if step == 3:
                raise KeyboardInterrupt

        states = {"state_folder": tmp_path / f"{name}-more"}
        with pytest.raises(KeyboardInterrupt):
            train_judge(
                Base(place / "base"), config, Dataset(place / "data"), again, stop, **states
            )
        train(place, config, again, **states)
        for file in (HEAD_FILE, "model.safetensors"):
            expected = load_file(whole / file)
            for key, weight in load_file(again / file).items():
                assert (weight - expected[key]).abs().max() < 1e-6, (name, key)


def lora(config, **more):
    tuning = {"kind": "lora", "rank": 2, "alpha": 4, "dropout": 0} | more
    changed = {"tuning": tuning, "trains_vision": False}
    return JudgeTrainingConfig.model_validate(config.model_dump() | changed)


def test_a_loras_head_is_kept_merged_apart_and_by_merge_adapter(place, tmp_path, edits):
    whole, apart, merged = (tmp_path / name for name in ("whole", "apart", "merged"))
    train(place, lora(CONFIG), whole)
    train(place, lora(CONFIG, merge=False), apart)
    head = load_file(apart / HEAD_FILE)
    assert head.keys() == {
        f"{name}.{part}"
        for name in ("editing_success", "over_editing", "naturalness", "artifact_freedom")
        for part in ("weight", "bias")
    }
    assert any(bool(one.any()) for one in head.values())
    assert not any("head" in name for name in load_file(apart / "adapter_model.safetensors"))
    merge_adapter(place / "base", apart, merged)
    with (
        load_judge(whole) as first,
        load_judge(place / "base", adapter=apart) as second,
        load_judge(merged) as third,
    ):
        rewards = [one.reward for one in first.judge(edits)]
        assert rewards == pytest.approx([one.reward for one in second.judge(edits)], abs=1e-4)
        assert rewards == pytest.approx([one.reward for one in third.judge(edits)], abs=1e-4)
        assert second.identity.weights.count("+") == 1


def test_a_checkpoint_without_a_head_refuses_the_mode_scalar(judge_folder):
    with pytest.raises(InvalidInputError, match=r"has no scalar head \(scalar_head.safetensors\)"):
        load_judge(judge_folder, mode="scalar")


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (
            lambda head: head | {"naturalness.weight": torch.zeros(7)},
            r"naturalness.weight: expected \[\d+\], found \[7\]",
        ),
        (
            lambda head: {name: one for name, one in head.items() if name != "over_editing.bias"},
            r"over_editing.bias: expected \[1\], found none",
        ),
        (
            lambda head: {"other": torch.zeros(1)},
            r"artifact_freedom.bias: expected \[1\], found none",
        ),
    ],
)
def test_a_head_file_that_does_not_fit_is_named(place, trained, tmp_path, change, reported):
    folder = tmp_path / "judge"
    shutil.copytree(place / "discriminative", folder)
    save_file(change(load_file(folder / HEAD_FILE)), folder / HEAD_FILE)
    with pytest.raises(InvalidInputError, match=f"{HEAD_FILE}: a head file that does not fit: "):
        load_judge(folder)
    with pytest.raises(InvalidInputError, match=reported):
        load_judge(folder)


def test_rankings_alone_teach_a_discriminative_judge(place, tmp_path, edits):
    reported = train(place, CONFIG, tmp_path / "judge", data="ranked")
    assert reported["pairs/per_batch"] > 0
    card = json.loads((tmp_path / "judge" / "card.json").read_text())
    assert (card["num_training_edits"], card["num_training_rankings"]) == (0, 4)
    assert "notice" not in card or "generated scenes" not in card["notice"]
    with load_judge(tmp_path / "judge") as judge:
        assert all(one.reward is not None for one in judge.judge(edits))


def test_rankings_and_labelled_edits_teach_a_joint_judge(place, tmp_path):
    reported = train(place, JOINT, tmp_path / "judge", rankings=Dataset(place / "ranked"))
    assert {"loss/pairs", "loss/known_scores", "loss/scores"} <= reported.keys()
    card = json.loads((tmp_path / "judge" / "card.json").read_text())
    assert (card["num_training_edits"], card["num_training_rankings"]) == (12, 4)


def test_orders_become_values_to_compare_and_no_known_scores(place, untrained):
    processor = untrained[1].following(in_form(CONFIG.protocol, CONFIG.answer))
    ranked = Dataset(place / "ranked")
    planned, _ = graded_conversations(
        CONFIG, [], [ranked], in_form(CONFIG.protocol, CONFIG.answer), processor, 1
    )
    graded = [planned[number] for number in range(len(planned))]
    first = next(iter(ranked.rankings()))
    mine = {
        one.conversation.id.rpartition("/")[2]: one.values
        for one in graded
        if one.conversation.id.startswith(f"{first.id}/") and one.conversation.stream == "sc"
    }
    order = first.orders["instruction_following"]
    for picture, rank in zip(first.edits, order, strict=True):
        assert mine[picture.id] == (-rank, -rank)
    assert all(math.isnan(value) for one in graded for value in one.known)
    assert len(next(iter(mine))) > 0


def test_rankings_are_read_by_number_and_without_pictures(place, tmp_path):
    data = Dataset(place / "ranked")
    assert data.num_rankings == 4
    rows = RankingRows(data, tmp_path)
    known = list(data.rankings())
    assert [rows[number] for number in (3, 0)] == [known[3], known[0]]
    with pytest.raises(IndexError, match="no ranking 4, there are 4"):
        rows[4]
    for bare, whole in zip(data.rankings(pictures=False), known, strict=True):
        assert bare.orders == whole.orders
        assert len(bare.sources) == len(whole.sources)
        assert {one.edited for one in bare.edits} == {b""}
    assert len(data.rankings_digest) == 64


def test_data_without_a_pair_says_so(place, tmp_path):
    write_shard(tmp_path / "edits.parquet", [make_edit(1), make_edit(2)])
    for config in (CONFIG, JOINT):
        with pytest.raises(InvalidInputError, match="there is no pair to learn from: expected ran"):
            train_judge(Base(place / "base"), config, Dataset(tmp_path), tmp_path / "judge", print)
    known = JOINT.model_copy(update={"head": HeadTraining(pairs=0), "num_samples": 6})
    train_judge(
        Base(place / "base"), known, Dataset(tmp_path), tmp_path / "judge", lambda *reported: None
    )


def test_rankings_for_a_judge_that_cannot_learn_from_them_are_refused(place, tmp_path):
    plain = CONFIG.model_copy(update={"kind": "regions"})
    with pytest.raises(InvalidInputError, match="kind regions does not learn from pairs"):
        train(place, plain, tmp_path / "judge", rankings=Dataset(place / "ranked"))
    with pytest.raises(InvalidInputError, match="data: has no rankings"):
        train(place, CONFIG, tmp_path / "judge", rankings=Dataset(place / "data"))


def test_a_head_of_one_stream_judges_that_stream_alone(place, tmp_path, edits):
    config = CONFIG.model_copy(update={"perceptual_share": 0.0, "num_samples": 6})
    train(place, config, tmp_path / "judge")
    with load_judge(tmp_path / "judge") as judge:
        [both] = judge.judge(edits[:1])
        assert "the head was trained for sc alone, got both" in both.reason
        alone = Edit(
            edits[0].source,
            edits[0].edited,
            edits[0].instruction,
            options=edits[0].options.model_copy(update={"streams": Streams.SEMANTIC}),
        )
        [one] = judge.judge([alone])
        assert one.scores is not None
        assert one.scores.naturalness is None


def test_groups_come_together_with_the_same_number_of_samples_as_other_kinds(place, untrained):
    processor = untrained[1].following(TINY)
    data = Dataset(place / "data")
    planned, _ = graded_conversations(JOINT, [data], [], TINY, processor, 1)
    assert len(planned) == JOINT.num_steps * JOINT.optimiser.batch_size
    groups = np.array([planned[number].group for number in range(len(planned))]).reshape(-1, 6)
    assert all(len(set(batch.tolist())) <= 4 for batch in groups)
    assert len(list(edits_of_tasks(1))) == 3
