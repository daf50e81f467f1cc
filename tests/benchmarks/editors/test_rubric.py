import json

import pytest

from spatialreward.benchmarks.editors.imgedit import BASIC, EDIT_TYPES, UGE
from spatialreward.benchmarks.editors.load import read_rubric
from spatialreward.benchmarks.editors.rubric import Rubric
from spatialreward.errors import Failure, InvalidInputError, JudgementError

PROMPTS = {one: f"rate this {one}: <edit_prompt>." for one in EDIT_TYPES}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(PROMPTS))
    return path


def test_a_request_stands_where_the_mark_is(path):
    rubric = Rubric.read(path, BASIC)
    assert rubric.prompt("add", "a <dog> {x}") == "rate this add: a <dog> {x}."
    assert rubric.reference.startswith("imgedit@")
    path.write_text(json.dumps(PROMPTS | {"add": "another <edit_prompt>"}))
    assert Rubric.read(path, BASIC).reference != rubric.reference


def test_the_prompt_of_uge_is_taken_from_its_script_which_is_not_run(tmp_path):
    path = tmp_path / "UGE_bench.py"
    path.write_text('raise SystemExit\nprompt = """rate\n<edit_prompt>"""\n')
    name, rubric = read_rubric(f"imgedit-uge={path}")
    assert (name, rubric.prompt("", "it")) == ("imgedit-uge", "rate\nit")
    assert rubric.read_answer("Brief reasoning: good.\nScore: 4") == (4,)


@pytest.mark.parametrize(
    ("text", "suite", "reason"),
    [
        ("{", BASIC, "is not JSON"),
        ("[]", BASIC, "expected an object of edit types and grader prompts"),
        (json.dumps(PROMPTS | {"add": 1}), BASIC, "expected an object of edit types"),
        (json.dumps({"add": "<edit_prompt>"}), BASIC, "no grader prompt of edit type adjust"),
        (json.dumps(PROMPTS | {"style": "?"}), BASIC, "style: expected <edit_prompt> where"),
        ("prompt = 'rate'", UGE, "prompt: expected <edit_prompt> where the request stands"),
        ("rate = 1", UGE, "prompt: missing, expected the text of a prompt"),
    ],
)
def test_prompts_of_another_version_are_named(tmp_path, text, suite, reason):
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=reason) as caught:
        Rubric.read(path, suite)
    assert str(path) in str(caught.value)


def test_prompts_are_of_a_suite():
    for text in ("gedit=x", "imgedit", "prompts.json"):
        with pytest.raises(InvalidInputError, match="expected imgedit=FILE or imgedit-uge=FILE"):
            read_rubric(text)


@pytest.mark.parametrize(
    "answer",
    [
        "Brief reasoning: all fine.\nPrompt Compliance: 5\nVisual Naturalness: 4\nDetail: 3",
        "1. **Prompt Compliance**: 5\n2. **Visual Naturalness:** 4/5\n3. Detail: 3.0",
        "- Compliance: **5**\n- Naturalness: 4.\n\n- Physical & Detail: 3 / 5\nReasoning: 2",
        "Scores\nCompliance:5\nNaturalness : 4\nDetail: 3\nNote: seen at 10:30",
    ],
)
def test_three_numbers_are_read_in_their_order(path, answer):
    assert Rubric.read(path, BASIC).read_answer(answer) == (5, 4, 3)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("", Failure.NO_ANSWER),
        ("I cannot rate people.", Failure.NO_ANSWER),
        ("a: 5\nb: 4", Failure.WRONG_FORM),
        ("a: 5\nb: 4\nc: 4\nd: 4", Failure.WRONG_FORM),
        ("a: 4.5\nb: 4\nc: 4", Failure.WRONG_FORM),
        ("a: 5\nb: 4\nc: 0", Failure.SCORE_OUT_OF_RANGE),
        ("a: 5\nb: 6\nc: 4", Failure.SCORE_OUT_OF_RANGE),
        ("a: 5\nb: -1\nc: 4", Failure.SCORE_OUT_OF_RANGE),
        (": 5\n: 4\n: 4", Failure.NO_ANSWER),
    ],
)
def test_an_answer_without_its_three_numbers_cannot_be_read(path, answer, failure):
    with pytest.raises(JudgementError) as caught:
        Rubric.read(path, BASIC).read_answer(answer)
    assert caught.value.failure is failure
