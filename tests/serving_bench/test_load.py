"""The load test can fail: it detects lost, exchanged and altered answers."""

from PIL import Image

from serving.bench.load import Expected, Load
from spatialreward.client import ServingError
from spatialreward.edits import Edit
from spatialreward.errors import Failure
from spatialreward.records import Judgement, JudgementStatus, Scores

BLANK = Image.new("RGB", (4, 4))


def judgement(success):
    scores = Scores(editing_success=success, over_editing=1, naturalness=1, artifact_freedom=1)
    return Judgement(status=JudgementStatus.OK, scores=scores, reward=success / 25)


ASKED = [Expected(Edit(BLANK, BLANK, str(n)), judgement(n)) for n in (3, 9, 20)]
OWN = [one.judgement for one in ASKED]


def counted(answers):
    load = Load()
    load.answered(ASKED, answers)
    return {name: count for name, count in load.counts.items() if name not in ("asked", "calls")}


def test_own_answers_are_right_however_the_last_digit_is_rounded():
    assert counted(OWN) == {"right": 3}
    assert counted([judgement(3.01), *OWN[1:]]) == {"right": 3}


def test_exchanged_answers_are_misordered():
    assert counted([OWN[1], OWN[0], OWN[2]]) == {"misordered": 2, "right": 1}


def test_an_answer_that_belongs_to_nobody_is_distinguished():
    assert counted([judgement(14), *OWN[1:]]) == {"otherwise": 1, "right": 2}


def test_missing_answers_are_lost():
    assert counted(OWN[:2]) == {"right": 2, "lost": 1}
    load = Load()
    load.failed(ASKED, ServingError("no server"))
    assert load.counts["lost"] == 3
    assert load.errors == {"ServingError: no server": 1}


def test_a_failed_judgement_is_not_taken_for_a_score():
    failed = Judgement.failed("cut off", Failure.NOT_JSON)
    assert counted([failed, *OWN[1:]]) == {"otherwise": 1, "right": 2}
