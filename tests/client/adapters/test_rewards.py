import pytest
from PIL import Image

from spatialreward.client import TritonJudge
from spatialreward.client.adapters.rewards import judge_all, with_shared_pictures
from spatialreward.edits import Edit
from spatialreward.errors import Failure, JudgementError
from spatialreward.records import Judgement, JudgementStatus


class Moody:
    """Judges an edit only when it draws its answer with a certain seed."""

    notice = ""

    def __init__(self, seeds):
        self.seeds = seeds
        self.asked = []

    def judge(self, edits):
        self.asked.append([edit.options.seed for edit in edits])
        return [self._judge(edit) for edit in edits]

    def _judge(self, edit):
        if edit.options.seed != self.seeds[edit.instruction]:
            return Judgement.failed(f"no {edit.instruction}", Failure.NOT_JSON)
        scores = {"naturalness": 25, "artifact_freedom": 25}
        return Judgement(status=JudgementStatus.OK, scores=scores, reward=1.0)


def edits(picture, instructions):
    return [Edit(picture(1), picture(2), instruction) for instruction in instructions]


def test_what_was_not_judged_is_judged_again_with_other_seeds(picture):
    judge = Moody({"a": None, "b": 1, "c": 2})
    judgements = judge_all(judge, edits(picture, "abc"), redraws=2)
    assert [judgement.reward for judgement in judgements] == [1.0, 1.0, 1.0]
    assert judge.asked == [[None, None, None], [1, 1], [2]]


def test_what_stays_without_a_judgement_is_an_error_and_no_reward(picture):
    judge = Moody({"a": None, "b": 3})
    with pytest.raises(JudgementError, match="1 of 2 edits were not judged: 1: no b"):
        judge_all(judge, edits(picture, "ab"), redraws=2)


def test_copies_of_a_source_become_one_picture():
    pictures = [Image.new("RGB", (4, 4), colour) for colour in ("red", "red", "blue")]
    first, second, third = with_shared_pictures(
        [Edit([one, pictures[0]], one, "a") for one in pictures]
    )
    assert first.source is second.source is first.references[0] is third.references[0]
    assert third.source is pictures[2]


def test_copies_of_a_source_share_a_request(server, picture):
    copies = [Edit(picture(9), picture(number), text) for number, text in enumerate("abab")]
    with TritonJudge(server.address) as judge:
        judge_all(judge, copies, redraws=0)
    (request,) = server.servicer.requests
    assert [text.decode() for text in request["INSTRUCTION"].ravel()] == ["a", "a", "b", "b"]
