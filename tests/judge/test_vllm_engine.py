"""What surrounds vLLM is tested everywhere; a model's answers where vLLM is installed."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from spatialreward.judge.answer_schema import score_tokens
from spatialreward.judge.engine import Judge
from spatialreward.judge.interface import Edit
from spatialreward.judge.questions import perceptual_question, semantic_question
from spatialreward.judge.scores import ScoreChooser
from spatialreward.judge.vllm_engine import VllmEngine
from spatialreward.protocol.prompts import TINY

TEXT = '{"reasoning": "<|global|> clean", "score": [12, 25]}'
with_vllms_own_warnings = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def processor(untrained):
    return untrained[1].following(TINY)


@pytest.fixture(scope="module")
def engine(processor):
    """An engine without a model."""
    return VllmEngine(None, processor, max_answer_tokens=208)


def completion(processor, logits_V, finish_reason="stop", text=TEXT):
    """An answer as vLLM hands it over, with the same distribution behind each of its tokens."""
    tokens = processor.tokenizer(text)["input_ids"]
    log_chances_V = logits_V.log_softmax(dim=0)
    known = {
        token: SimpleNamespace(logprob=log_chances_V[token].item())
        for token in (*tokens, *score_tokens(processor.tokenizer))
    }
    return SimpleNamespace(
        token_ids=tokens, logprobs=[known] * len(tokens), finish_reason=finish_reason
    )


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


def test_soft_scores_are_the_transformers_engines(engine, processor):
    logits_V = torch.randn(len(processor.tokenizer), generator=torch.manual_seed(3)) * 3
    (mean,) = ScoreChooser(processor.tokenizer).constrain(logits_V[None].clone(), [0])
    answer = engine._read(completion(processor, logits_V))
    assert answer.text == TEXT
    assert answer.complete
    assert answer.soft_scores == pytest.approx((mean, mean), abs=1e-4)


def test_an_answer_that_is_cut_off_is_not_complete(engine, processor):
    logits_V = torch.zeros(len(processor.tokenizer))
    answer = engine._read(completion(processor, logits_V, "length", TEXT[: TEXT.index(", 25")]))
    assert not answer.complete
    assert answer.soft_scores == pytest.approx((12.5,))


def test_an_answer_that_failed_is_not_taken_for_a_long_one(engine, processor):
    failed = completion(processor, torch.zeros(len(processor.tokenizer)), "error", "")
    with pytest.raises(RuntimeError, match="vLLM ended an answer with 'error'"):
        engine._read(failed)


@pytest.fixture(scope="module")
def running(request):
    """The engine with a model, where the ``vllm`` extra or vLLM's build for CPUs is installed."""
    pytest.importorskip("vllm")
    folder = request.getfixturevalue("judge_folder")
    return VllmEngine.load(folder, TINY, gpu_memory_share=0.2)


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
        told = running.answer(
            [semantic_question(TINY, long)],
            lambda name, amount: counts.update({name: amount}),
        )
        assert dict(told).keys() == {0}
    assert counts["seconds/generate"] > 0
    assert counts["prompt_tokens/computed"] < 0.75 * counts["prompt_tokens/asked"]
