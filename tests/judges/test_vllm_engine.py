"""What surrounds vLLM is tested everywhere; a model's answers where vLLM is installed."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.engines.vllm_engine import VllmEngine
from spatialreward.judges.questions import Question, perceptual_question, semantic_question
from spatialreward.judges.qwen_vl.answer_schema import answer_forms
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.judges.qwen_vl.soft_scores import candidates, mean_of_digits
from spatialreward.judges.qwen_vl.vocabulary import Vocabulary
from spatialreward.protocol.prompts import TINY
from spatialreward.records import AnswerForm
from tests.judges.qwen_like import qwen_like_parts

OTHER = '{"reasoning": "x", "score": [3, 7]}'
TEXT = '{"reasoning": "<|global|> clean", "score": [12, 25]}'
with_vllms_own_warnings = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def processor(untrained):
    return untrained[1].following(TINY)


@pytest.fixture(scope="module")
def qwen_like():
    return qwen_like_parts()[1]


@pytest.fixture(scope="module")
def engine(processor):
    """An engine without a model."""
    return VllmEngine(None, processor, max_answer_tokens=208)


def completion(processor, logits_V, finish_reason="stop", text=TEXT):
    """An answer as vLLM hands it over, with the same distribution behind each of its tokens."""
    tokens = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    log_chances_V = logits_V.log_softmax(dim=0)
    known = {
        token: SimpleNamespace(logprob=log_chances_V[token].item())
        for token in (*tokens, *candidates(Vocabulary(processor.tokenizer).scores))
    }
    return SimpleNamespace(
        token_ids=tokens, logprobs=[known] * len(tokens), finish_reason=finish_reason
    )


class Scripted:
    """What the engine uses of vLLM: the answers that are given, and one more token when asked."""

    def __init__(self, processor, answers, logits_V):
        self.answers = answers
        self.more = completion(processor, logits_V, "length", ",")
        self.prompts = []

    def generate(self, prompts, sampling, use_tqdm):
        self.prompts.append(prompts)
        chances = self.answers if len(self.prompts) == 1 else [self.more] * len(prompts)
        return [
            SimpleNamespace(outputs=[one], prompt_token_ids=[1], num_cached_tokens=0)
            for one in chances
        ]


def scripted(processor, logits_V, *answers):
    """An engine whose vLLM gives these answers, and the soft scores and texts that it reads."""
    engine = VllmEngine(Scripted(processor, answers, logits_V), processor, max_answer_tokens=208)
    # Where vLLM is not installed there is nothing to sample by.
    engine._sampling = lambda question: None
    engine._one_more_token = lambda: None
    picture = Image.new("RGB", (64, 64), "teal")
    questions = [Question((picture, "how?"), form=AnswerForm.REGIONS)] * len(answers)
    return engine, [answer for _, answer in engine.answer(questions)]


def test_a_prompt_is_the_other_engines_with_one_token_for_each_picture(engine, processor):
    pictures = [Image.new("RGB", size, "teal") for size in ((64, 64), (200, 31), (9, 90))]
    question = semantic_question(TINY, Edit(*pictures[:2], "paint it red", pictures[2:]))
    prompt = engine._prompt(question)
    inputs = processor.encode([question])
    collapsed = [
        token
        for value, run in groupby(inputs["input_ids"][0].tolist())
        for token in ([value] if value == processor.image_token else run)
    ]
    assert prompt["prompt_token_ids"] == collapsed
    assert [one.size for one in prompt["multi_modal_data"]["image"]] == [(64, 64)] * 3
    shown = processor.image_processor(prompt["multi_modal_data"]["image"], return_tensors="pt")
    assert torch.equal(shown["pixel_values"], inputs["pixel_values"])


def test_soft_scores_of_whole_numbers_are_means_of_their_tokens(processor):
    logits_V = torch.randn(len(processor.tokenizer), generator=torch.manual_seed(3)) * 3
    scores = Vocabulary(processor.tokenizer).scores
    mean = (logits_V[list(scores.scores)].softmax(0) @ torch.arange(26.0)).item()
    engine, (answer,) = scripted(processor, logits_V, completion(processor, logits_V))
    assert answer.text == TEXT
    assert answer.complete
    assert answer.soft_scores == pytest.approx((mean, mean), abs=1e-4)
    assert len(engine._llm.prompts) == 1


def test_soft_scores_of_split_numbers_look_behind_what_was_not_written(qwen_like):
    logits_V = torch.randn(len(qwen_like.tokenizer), generator=torch.manual_seed(3)) * 3
    tokens = Vocabulary(qwen_like.tokenizer).scores
    chances = dict(enumerate(logits_V.log_softmax(0).tolist()))
    mean = mean_of_digits(tokens, chances, {1: chances, 2: chances})
    answers = [completion(qwen_like, logits_V), completion(qwen_like, logits_V, text=OTHER)]
    engine, generated = scripted(qwen_like, logits_V, *answers)
    for answer in generated:
        assert answer.soft_scores == pytest.approx((mean, mean), abs=1e-6)
    one, two = tokens.branches().values()
    asked = [prompt["prompt_token_ids"] for prompt in engine._llm.prompts[1]]
    # 12 and 25 give the chances after their first digits, 3 and 7 do not.
    assert [ids[-1] for ids in asked] == [two, one, one, two, one, two]
    first = engine._llm.prompts[0][0]["prompt_token_ids"]
    text = qwen_like.tokenizer.decode(asked[0][len(first) :])
    assert text == TEXT[: TEXT.index("12")] + "2"


def test_an_answer_that_is_cut_off_is_not_complete(processor):
    logits_V = torch.zeros(len(processor.tokenizer))
    cut = completion(processor, logits_V, "length", TEXT[: TEXT.index(", 25")])
    _, (answer,) = scripted(processor, logits_V, cut)
    assert not answer.complete
    assert answer.soft_scores == pytest.approx((12.5,))


@pytest.mark.parametrize("form", [AnswerForm.REGIONS, AnswerForm.REASONING, AnswerForm.SCORES])
@pytest.mark.parametrize("guided", [True, False])
def test_vllm_compiles_each_form_before_it_is_asked(processor, guided, form):
    llm = Asked()
    engine = VllmEngine(llm, processor, max_answer_tokens=208, guided=guided)
    # Where vLLM is not installed there is nothing to sample by.
    engine._held_to = lambda *how: how
    engine.prepare(form)
    patterns = answer_forms(form) if guided else ()
    assert llm.sampling == [(pattern, None, 1) for pattern in patterns]


class Asked:
    """Notes how vLLM was asked to sample."""

    def __init__(self):
        self.sampling = []

    def generate(self, prompts, sampling, use_tqdm):
        assert len(prompts) == len(sampling)
        assert all(prompt["prompt_token_ids"] for prompt in prompts)
        self.sampling += sampling


def test_an_answer_that_failed_is_not_taken_for_a_long_one(processor):
    logits_V = torch.zeros(len(processor.tokenizer))
    with pytest.raises(RuntimeError, match="vLLM ended an answer with 'error'"):
        scripted(processor, logits_V, completion(processor, logits_V, "error", ""))


@pytest.fixture(scope="module")
def running(request):
    """The engine with a model, where the ``vllm`` extra or vLLM's build for CPUs is installed."""
    pytest.importorskip("vllm")
    folder = request.getfixturevalue("judge_folder")
    processor = Processor.load(folder, TINY.square_side)
    return VllmEngine.load(folder, processor, TINY, gpu_memory_share=0.2)


@with_vllms_own_warnings
def test_what_was_learnt_is_judged_as_it_was_taught(running, known_edits, known_samples):
    judgements = Judge(running, TINY).judge(known_edits)
    for judgement, sample in zip(judgements, known_samples, strict=True):
        assert judgement.scores == sample.truth.scores, judgement.reason
        assert judgement.regions == tuple(sample.truth.regions)
        soft = judgement.soft_scores.model_dump()
        assert soft == pytest.approx(judgement.scores.model_dump(), abs=2)


@with_vllms_own_warnings
def test_a_drawn_answer_is_the_same_for_the_same_seed(running, known_edits):
    questions = [
        perceptual_question(TINY, edit)._replace(seed=number)
        for number, edit in enumerate(known_edits)
    ]
    assert dict(running.answer(questions)) == dict(running.answer(questions))


@with_vllms_own_warnings
def test_threads_take_turns(running, known_edits):
    questions = [[perceptual_question(TINY, edit)] for edit in known_edits] * 4
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda one: dict(running.answer(one)), questions))
    assert together == [dict(running.answer(one)) for one in questions]


@with_vllms_own_warnings
def test_a_prompt_asked_again_is_not_computed_again(running, known_edits):
    long = replace(known_edits[0], instruction="paint it red " * 100)
    counts = Counter()
    for _ in range(2):
        chances = running.answer(
            [semantic_question(TINY, long)],
            lambda name, amount: counts.update({name: amount}),
        )
        assert dict(chances).keys() == {0}
    assert counts["seconds/generate"] > 0
    assert counts["prompt_tokens/computed"] < 0.75 * counts["prompt_tokens/asked"]
