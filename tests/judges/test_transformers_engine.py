"""Sharing prompts changes what is computed, and nothing that is answered."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest
import torch
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.engines.transformers_engine import TransformersEngine
from spatialreward.judges.interface import ignore
from spatialreward.judges.questions import Question, perceptual_question, semantic_question
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.protocol.prompts import TINY, Protocol
from spatialreward.records import JudgingOptions, ScoreKind, Streams


@pytest.fixture(scope="module")
def parts(judge_folder):
    model, processor = checkpoint.load(judge_folder, TINY.square_side)
    return model, processor.following(TINY)


@pytest.fixture(scope="module")
def engine(parts):
    return TransformersEngine(*parts, max_answer_tokens=208)


def group(edits, size):
    """Edits of one prompt: one source and one instruction, and pictures that differ."""
    source, instruction = edits[0].source, edits[0].instruction
    pictures = [edits[number % len(edits)].edited.rotate(number) for number in range(size)]
    return [Edit(source, picture, instruction) for picture in pictures]


def counted(engine, questions):
    amounts = Counter()
    return answered(engine, questions, lambda name, amount: amounts.update({name: amount})), amounts


def answered(engine, questions, measure=ignore):
    answers = dict(engine.answer(questions, measure))
    return [answers[number] for number in range(len(questions))]


def test_shared_prompts_give_the_same_text_and_scores_as_prompts_in_full(parts, known_edits):
    edits = [*group(known_edits, 12), *group(known_edits[1:], 5), *known_edits]
    shared, full = (
        Judge.of_model(*parts, TINY, share_prefixes=share).judge(edits) for share in (True, False)
    )
    for one, other in zip(shared, full, strict=True):
        assert (one.regions, one.sc_reasoning, one.pq_reasoning, one.scores, one.reason) == (
            other.regions,
            other.sc_reasoning,
            other.pq_reasoning,
            other.scores,
            other.reason,
        )
        if one.soft_scores:
            soft = other.soft_scores.model_dump()
            assert one.soft_scores.model_dump() == pytest.approx(soft, abs=1e-3)


def test_an_answer_is_what_transformers_own_generation_writes(parts, engine, known_edits):
    model, processor = parts
    for edit in known_edits:
        question = semantic_question(TINY, edit)
        inputs = processor.encode([question])
        output = model.generate(**inputs, max_new_tokens=208, do_sample=False)
        text = processor.tokenizer.decode(
            output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        assert answered(engine, [question])[0].text == text


def test_the_edits_of_one_prompt_compute_its_beginning_once(engine, known_edits):
    questions = [semantic_question(TINY, edit) for edit in group(known_edits, 12)]
    _, amounts = counted(engine, questions)
    _, alone = counted(engine, questions[:1])
    of_own = 1 + 16 + 1 + 2 - 1  # the picture, the marker behind it, the end of the turn
    assert alone["prompt_tokens/computed"] == alone["prompt_tokens/asked"]
    assert amounts["prompt_tokens/computed"] == alone["prompt_tokens/asked"] + 11 * of_own


def test_a_picture_is_encoded_once_for_both_streams(engine, known_edits):
    edit = known_edits[0]
    questions = [semantic_question(TINY, edit), perceptual_question(TINY, edit)]
    _, amounts = counted(engine, questions)
    assert (amounts["pictures/shown"], amounts["pictures/encoded"]) == (3, 2)


def test_prompts_with_pictures_first_share_the_source(parts, known_edits):
    pictures_first = Protocol(
        name="pictures first", semantic="{source}{edited}{instruction}", perceptual="{edited}?"
    )
    questions = [semantic_question(pictures_first, edit) for edit in group(known_edits, 6)]
    shared, full = (
        counted(TransformersEngine(*parts, max_answer_tokens=30, share_prefixes=share), questions)
        for share in (True, False)
    )
    assert [one.text for one in shared[0]] == [one.text for one in full[0]]
    assert shared[1]["prompt_tokens/computed"] < full[1]["prompt_tokens/computed"]


def test_a_seed_draws_the_same_answer_again_whatever_stands_beside_it(untrained):
    engine = TransformersEngine(*untrained, max_answer_tokens=12)
    blank = Image.new("RGB", (64, 64), "white")
    first, second, again = answered(engine, [Question(("say", blank), seed) for seed in (1, 2, 1)])
    assert first.text == again.text != second.text
    company = [Question(("say something else", blank), 7), Question((blank, "words"))]
    beside = answered(engine, [Question(("say", blank), 1), *company])
    assert beside[0].text == first.text


def test_one_stream_alone_has_its_own_scores_and_reward(parts, known_edits):
    judge = Judge.of_model(*parts, TINY)
    edits = [
        replace(known_edits[0], options=JudgingOptions(streams=streams)) for streams in Streams
    ]
    both, semantic, perceptual = judge.judge(edits)
    assert semantic.scores.naturalness is None
    assert semantic.scores.editing_success == both.scores.editing_success
    assert not perceptual.regions
    assert perceptual.scores.editing_success is None
    expected = semantic.reward**0.8 * perceptual.reward**0.2
    assert both.reward == pytest.approx(expected, abs=1e-3)


def test_hard_scores_are_what_the_reward_is_made_of_when_asked_for(parts, known_edits):
    hard = JudgingOptions(scores=ScoreKind.HARD)
    (judgement,) = Judge.of_model(*parts, TINY).judge([replace(known_edits[0], options=hard)])
    scores = judgement.scores
    sc = (0.6 * scores.editing_success + 0.4 * scores.over_editing) / 25
    pq = (scores.naturalness + scores.artifact_freedom) / 50
    assert judgement.reward == pytest.approx(sc**0.8 * pq**0.2)


def test_questions_that_join_later_are_answered_as_if_they_had_been_there_at_first(
    engine, known_edits
):
    edits = [*group(known_edits, 3), *known_edits]
    questions = [
        ask(TINY, edit) for edit in edits for ask in (semantic_question, perceptual_question)
    ]
    waiting = iter(questions)
    joined = []

    def more(num_writing):
        joined.append(list(itertools.islice(waiting, 3)))
        return joined[-1]

    amounts = dict(engine.answer(list(itertools.islice(waiting, 2)), ignore, more))
    assert len(joined) > 2
    for number, one in enumerate(answered(engine, questions)):
        assert amounts[number].text == one.text
        assert amounts[number].soft_scores == pytest.approx(one.soft_scores, abs=1e-3)


def test_several_source_pictures_are_shown_in_their_order(engine, known_edits):
    edit = replace(known_edits[0], references=(known_edits[1].source,))
    question = semantic_question(TINY, edit)
    assert question.pictures == [edit.source, known_edits[1].source, edit.edited]
    assert answered(engine, [question])[0].text


def test_two_threads_may_ask_at_the_same_time(engine, known_edits):
    from concurrent.futures import ThreadPoolExecutor

    questions = [[semantic_question(TINY, edit)] for edit in known_edits]
    one_by_one = [answered(engine, question)[0].text for question in questions]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda question: answered(engine, question)[0].text, questions))
    assert together == one_by_one
    assert not torch.is_inference_mode_enabled()
