"""What becomes of an engine's answers: judgements, or failures of a kind."""

from collections import Counter

import pytest
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import Failure
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.qwen_vl.answers import Generated
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.prompts import TINY
from spatialreward.records import JudgementStatus, JudgingOptions, Mending, ScoreKind, Streams

SC = '{"edit_region": [], "reasoning": "<|global|> same", "score": [20, 10]}'
PQ = '{"reasoning": "clean", "score": [15, 5]}'
PICTURE = Image.new("RGB", (64, 64))


class Scripted:
    """Gives the same two answers, in the order of streams."""

    def __init__(self, *answers):
        self.answers = answers

    def answer(self, questions, measure, more):
        for number, question in enumerate(questions):
            yield number, self.answers[0 if question.compares else 1]


def judged(semantic, perceptual, protocol=TINY, measure=None, **options):
    edit = Edit(PICTURE, PICTURE, "nothing", options=JudgingOptions(**options))
    amounts = measure if measure is not None else Counter()
    judge = Judge(Scripted(semantic, perceptual), protocol)
    (judgement,) = judge.judge([edit], lambda name, amount: amounts.update({name: amount}))
    return judgement


def test_soft_scores_make_the_reward_unless_hard_ones_are_asked_for():
    answers = Generated(SC, True, (25.0, 25.0)), Generated(PQ, True, (25.0, 25.0))
    assert judged(*answers).reward == pytest.approx(1.0)
    hard = judged(*answers, scores=ScoreKind.HARD)
    assert hard.reward == pytest.approx(Aggregation().reward(hard.scores))
    assert hard.soft_scores.naturalness == 25.0


def test_soft_scores_that_were_asked_for_and_are_not_there_are_a_failure():
    answers = Generated(SC.replace("20", "20.5"), True, ()), Generated(PQ, True, (15.0, 5.0))
    lost = judged(*answers)
    assert (lost.status, lost.failure) == (JudgementStatus.FAILED, Failure.NO_SOFT_SCORE)
    assert "request hard scores" in lost.reason
    kept = judged(*answers, scores=ScoreKind.HARD)
    assert kept.scores.editing_success == 20.5
    assert judged(*answers, streams=Streams.PERCEPTUAL).reward == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("text", "complete", "failure"),
    [
        (SC, False, Failure.CUT_OFF),
        ("I cannot.", True, Failure.NO_ANSWER),
        (SC.replace("20", "26"), True, Failure.SCORE_OUT_OF_RANGE),
        (SC.replace("20, ", ""), True, Failure.WRONG_FORM),
    ],
)
def test_a_failure_is_of_a_kind_and_counted(text, complete, failure):
    amounts = Counter()
    judgement = judged(
        Generated(text, complete, (1.0, 1.0)), Generated(PQ, True, (1.0, 1.0)), measure=amounts
    )
    assert judgement.failure is failure
    assert (judgement.scores, judgement.reward) == (None, None)
    assert amounts["answers/unreadable"] == 1


def test_what_was_mended_is_reported_once_and_counted():
    amounts = Counter()
    fenced = Generated(f"```\n{SC}", True, (1.0, 1.0)), Generated(f"So: {PQ}", True, (1.0, 1.0))
    assert judged(*fenced, measure=amounts).mended == (Mending.WORDS_AROUND,)
    assert amounts["mended/words_around"] == 1
    strict = TINY.model_copy(update={"mendings": ()})
    assert judged(*fenced, protocol=strict).failure is Failure.NOT_JSON


def test_the_protocol_says_how_scores_become_a_reward():
    answers = Generated(SC, True, (20.0, 10.0)), Generated(PQ, True, (15.0, 5.0))
    smallest = TINY.model_copy(update={"aggregation": Aggregation(form="min")})
    assert judged(*answers, protocol=smallest).reward == pytest.approx(50**0.5 / 25)
