"""Several drawn judgements of an edit, and their mean."""

import json

import pytest
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.judges.load import load_judge
from spatialreward.judges.passes import SelfEnsemble, mean_judgement
from spatialreward.records import (
    AnswerForm,
    EditRegion,
    JudgeIdentity,
    Judgement,
    JudgementStatus,
    JudgingOptions,
    Mending,
    Scores,
)
from tests.data.teacher.teacher_server import TeacherServer, says


def judged(*scores: float, box=(0, 0, 10, 10), soft=None, mended=()) -> Judgement:
    named = dict(zip(Scores.model_fields, scores, strict=False))
    return Judgement(
        status=JudgementStatus.OK,
        regions=(EditRegion(id=0, label="a dog", bbox_2d=box),),
        sc_reasoning=f"<|bbox_0|> {scores[0]}",
        scores=Scores(**named),
        soft_scores=soft,
        reward=sum(scores) / 100,
        mended=mended,
        judged_by="drawn/1, geometric",
    )


def failed(failure=Failure.CUT_OFF, reason="too long") -> Judgement:
    return Judgement.failed(reason, failure).model_copy(update={"judged_by": "drawn/1, geometric"})


def edit(**more) -> Edit:
    picture = Image.new("RGB", (8, 8))
    return Edit(picture, picture, "add a dog", **more)


class Drawn:
    """Hands out judgements in the order of seeds, and notes what it was asked."""

    notice = "draws"
    identity = JudgeIdentity(name="drawn", version="1", aggregation="geometric")

    def __init__(self, *judgements):
        self.judgements = judgements
        self.seeds = []
        self.is_closed = False

    def judge(self, edits):
        self.seeds += [one.options.seed for one in edits]
        return [self.judgements[one.options.seed % len(self.judgements)] for one in edits]

    def close(self):
        self.is_closed = True


def test_scores_are_averaged_one_by_one_and_regions_are_the_first_ones():
    mean = mean_judgement(
        [
            failed(),
            judged(10, 20, 0, 25, box=(1, 2, 3, 4), mended=(Mending.WORDS_AROUND,)),
            judged(20, 22, 5, 25, mended=(Mending.THOUGHT,)),
            judged(15, 24, 10, 25),
        ]
    )
    assert list(mean.scores.given().values()) == [15, 22, 5, 25]
    assert mean.reward == pytest.approx((55 + 72 + 74) / 300)
    assert mean.regions[0].bbox_2d == (1, 2, 3, 4)
    assert mean.sc_reasoning == "<|bbox_0|> 10"
    assert mean.mended == (Mending.THOUGHT, Mending.WORDS_AROUND)


def test_one_stream_has_a_mean_of_its_own():
    mean = mean_judgement([judged(10, 20), judged(11, 25)])
    assert mean.scores == Scores(editing_success=10.5, over_editing=22.5)


def test_soft_scores_have_a_mean_where_all_have_them():
    soft = [Scores(editing_success=value, over_editing=10) for value in (4.5, 5.5)]
    both = [judged(4, 10, soft=soft[0]), judged(6, 10, soft=soft[1])]
    assert mean_judgement(both).soft_scores == Scores(editing_success=5, over_editing=10)
    assert mean_judgement([both[0], judged(6, 10)]).soft_scores is None


@pytest.mark.parametrize(
    ("readable", "unreadable", "is_judged"), [(2, 2, True), (1, 2, False), (1, 1, True)]
)
def test_half_of_the_passes_have_to_be_readable(readable, unreadable, is_judged):
    passes = [judged(1, 2)] * readable + [failed()] * unreadable
    assert (mean_judgement(passes).status is JudgementStatus.OK) == is_judged


def test_a_failure_is_in_the_form_of_its_passes():
    scores = {"answer": AnswerForm.SCORES}
    passes = [one.model_copy(update=scores) for one in (judged(1, 2), failed(), failed())]
    assert mean_judgement(passes).answer is AnswerForm.SCORES
    assert mean_judgement(passes[:2]).answer is AnswerForm.SCORES


def test_a_failure_says_how_many_and_why():
    found = mean_judgement(
        [failed(Failure.NOT_JSON, "no braces"), failed(), judged(1, 2), failed(), failed()]
    )
    assert found.failure is Failure.CUT_OFF
    assert found.reason == (
        "4 of 5 passes have no judgement (3 cut_off, 1 not_json); the first: no braces"
    )
    assert (found.scores, found.reward) == (None, None)


def test_each_edit_is_drawn_with_seeds_of_its_own_and_failures_are_counted(caplog):
    one = Drawn(judged(10, 20), failed(), judged(20, 20))
    edits = [edit(id="a"), edit(id="b", options=JudgingOptions(seed=10, streams="sc"))]
    with SelfEnsemble(one, 3) as ensemble:
        first, second = ensemble.judge(edits)
        assert str(ensemble.identity) == "drawn/1, geometric, mean of 3 passes"
        assert (
            ensemble.notice
            == "draws; each score and reward is the mean of up to 3 drawn judgements"
        )
        assert first.judged_by == second.judged_by == str(ensemble.identity)
        assert ensemble.failed_passes == {Failure.CUT_OFF: 2}
    assert one.seeds == [0, 1, 2, 10, 11, 12]
    assert one.is_closed
    assert first.scores.editing_success == 15
    assert "edit b: 1 of 3 passes have no judgement (1 cut_off)" in caplog.text


def test_a_model_behind_an_address_is_drawn_so_often(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    def plan(asked):
        score = 10 + 2 * asked.body["seed"]
        answer = {"reasoning": "", "score": [score, 20]}
        if len(asked.pictures) == 2:
            answer = {"edit_region": [], **answer}
        return says(json.dumps(answer))

    with TeacherServer().running() as server:
        server.plan = plan
        name = f"openai:m@{server.url}?temperature=0.5"
        with load_judge(name, passes=3) as judge:
            (judgement,) = judge.judge([edit()])
            assert str(judge.identity).endswith(", geometric, mean of 3 passes")
        assert judgement.judged_by == str(judge.identity)
        assert judgement.scores.editing_success == judgement.scores.naturalness == 12
        assert len(server.asked) == 6
        assert {asked.body["temperature"] for asked in server.asked} == {0.5}


def test_a_judge_in_this_process_is_drawn_so_often(judge_folder, known_edits):
    hard = [
        Edit(one.source, one.edited, one.instruction, options=JudgingOptions(scores="hard"))
        for one in known_edits[:2]
    ]
    with load_judge(judge_folder, passes=2) as judge:
        judgements = judge.judge(hard)
        assert [one.judged_by for one in judgements] == [str(judge.identity)] * 2
        assert judge.judge(hard) == judgements


@pytest.mark.parametrize(
    ("judge", "passes", "message"),
    [
        ("pixels", 2, "judge pixels: draws no answers, so 2 passes are all alike"),
        ("oracle:photos", 2, "judge oracle:photos: draws no answers"),
        ("pixels", 0, "passes: expected 1 or more, got 0"),
    ],
)
def test_passes_that_would_say_nothing_are_refused(judge, passes, message):
    with pytest.raises(InvalidInputError, match=message):
        load_judge(judge, passes=passes)
