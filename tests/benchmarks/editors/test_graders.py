"""Graders ask again for what cannot be read; a model behind an address answers over real HTTP."""

import itertools

import pytest
from PIL import Image

from spatialreward.benchmarks.editors.graders import JudgeGrader
from spatialreward.benchmarks.editors.imgedit import BASIC
from spatialreward.benchmarks.editors.rubric import Rubric
from spatialreward.benchmarks.editors.rubric_grader import RubricGrader
from spatialreward.edits import Edit
from spatialreward.errors import Failure
from spatialreward.judges.interface import Tokens
from spatialreward.judges.load import load_judge
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.protocol.importing import PublicJudge, import_protocol
from tests.benchmarks.folders import ScriptedJudge, failed, judged
from tests.data.teacher.teacher_server import TeacherServer, fails, says
from tests.protocol.public_checkouts import write_checkout

PROMPTS = dict.fromkeys(BASIC.types, "rate: <edit_prompt>")
GOOD = "Brief reasoning: fine.\nCompliance: 5\nNaturalness: 4\nDetail: 4"


def edit(number=0):
    before, after = (Image.new("RGB", (60, 40), colour) for colour in ("black", "white"))
    return Edit(before, after, f"add dog {number}", id=f"e{number}", operation="add")


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with TeacherServer().running() as server:
        yield server


def config_of(server, settings=""):
    return f"openai:some/vl@{server.url}?max_attempts=2{settings}"


@pytest.fixture
def rubric_grader(server):
    def made(num_retries=2):
        rubric = Rubric("imgedit", PROMPTS, 3)
        return RubricGrader(OpenAiConfig.parse(config_of(server)), rubric, num_retries)

    return made


def test_only_answers_that_cannot_be_read_are_asked_for_again_each_with_another_seed():
    answers = {
        "e0": itertools.repeat(judged(20)),
        "e1": iter([failed(Failure.NOT_JSON), failed(Failure.CUT_OFF), judged(10)]),
        "e2": itertools.repeat(failed(Failure.NO_ANSWER)),
        "e3": itertools.repeat(failed(Failure.BAD_INPUT)),
        "e4": itertools.repeat(failed(Failure.JUDGE_FAILED)),
    }
    judge = ScriptedJudge(lambda asked: next(answers[asked.id]))
    grades = JudgeGrader(judge, 2).grade([edit(number) for number in range(5)])
    assert [one.failure for one in grades] == [
        None,
        None,
        Failure.NO_ANSWER,
        Failure.BAD_INPUT,
        Failure.JUDGE_FAILED,
    ]
    assert [len(one.answers) for one in grades] == [1, 3, 3, 1, 1]
    assert grades[1].judgement.reward == judged(10).reward
    asked = [(one.id, one.options.seed) for one in judge.asked[5:]]
    assert asked == [("e1", 1), ("e2", 1), ("e1", 2), ("e2", 2)]
    assert not judge.asked[-1].options.names_soft_scores


def test_without_retries_each_edit_is_asked_about_once():
    judge = ScriptedJudge(lambda asked: failed())
    [grade] = JudgeGrader(judge, 0).grade([edit()])
    assert (len(judge.asked), grade.answers) == (1, ((),))


def test_raw_answers_of_a_model_behind_an_address_are_kept(server, tmp_path):
    import_protocol(write_checkout(tmp_path, PublicJudge.VIESCORE)).write(tmp_path)
    answers = iter(["8 of 10", '{"score": [8, 9], "reasoning": "a"}'])
    quality = '{"score": [7, 6], "reasoning": "b"}'
    server.plan = lambda asked: says(next(answers) if len(asked.pictures) == 2 else quality)
    with load_judge(config_of(server), protocol=tmp_path / "protocol.json") as judge:
        grader = JudgeGrader(judge, 2)
        [grade] = grader.grade([edit()])
        assert grader.tokens == Tokens(4000, 800)
    assert grade.answers == (("8 of 10", quality), ('{"score": [8, 9], "reasoning": "a"}', quality))
    assert grade.judgement.reward == pytest.approx((8 * 6) ** 0.5 / 10)
    assert grade.judgement.judged_by == str(grader.identity)


def test_a_rubric_is_asked_words_first_then_source_and_edited_picture(server, rubric_grader):
    server.plan = lambda asked: says(GOOD)
    grader = rubric_grader()
    [grade] = grader.grade([edit(3)])
    assert grade.criteria == (5, 4, 4)
    assert grade.answers == ((GOOD,),)
    [asked] = server.asked
    kinds = [part["type"] for part in asked.body["messages"][-1]["content"]]
    assert kinds == ["text", "image_url", "image_url"]
    assert asked.text == "rate: add dog 3"
    assert "seed" not in asked.body
    assert grader.tokens == Tokens(1000, 200)
    assert str(grader.identity).startswith("some/vl@")
    assert grader.identity.aggregation == "mean of criteria"


def test_an_unreadable_rubric_is_asked_for_again_then_reported_with_all_that_was_written(
    server, rubric_grader
):
    answers = iter(["a: 4/5", GOOD])
    server.plan = lambda asked: says(next(answers))
    [grade] = rubric_grader().grade([edit()])
    assert (grade.criteria, grade.answers) == ((5, 4, 4), (("a: 4/5",), (GOOD,)))
    assert server.asked[-1].body["seed"] == 1
    server.plan = lambda asked: says("no")
    [grade] = rubric_grader(1).grade([edit()])
    assert (grade.failure, grade.criteria) == (Failure.NO_ANSWER, ())
    assert grade.answers == (("no",), ("no",))


def test_a_server_that_breaks_is_distinguished_from_an_answer_that_cannot_be_read(
    server, rubric_grader
):
    server.plan = lambda asked: fails(500)
    [grade] = rubric_grader().grade([edit()])
    assert (grade.failure, grade.answers) == (Failure.JUDGE_FAILED, ((),))
    server.plan = lambda asked: says(GOOD[:20], finish="length")
    [grade] = rubric_grader(0).grade([edit()])
    assert grade.failure is Failure.CUT_OFF
    server.plan = lambda asked: says(None, refusal="I will not")
    [grade] = rubric_grader(0).grade([edit()])
    assert (grade.failure, grade.answers) == (Failure.NO_ANSWER, (("I will not",),))
