import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.data.teacher.answers import (
    AnnotationAnswer,
    GroundingAnswer,
    VerificationAnswer,
    read_answer,
    schema_of,
)
from spatialreward.data.teacher.faults import Fault, TeacherFault
from spatialreward.data.teacher.ledger import Reply
from spatialreward.records import Mending

FORMS = (AnnotationAnswer, VerificationAnswer, GroundingAnswer)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["regions", "id", "reason", "agrees", "x"]), inner)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("form", FORMS)
@given(text=st.text() | JSON.map(json.dumps) | JSON.map(lambda value: f"```json\n{value}```"))
def test_any_answer_is_read_or_refused_with_a_reason(form, text):
    try:
        answer = read_answer(Reply(text=text), form, "en")
    except TeacherFault:
        return
    assert isinstance(answer, form)


VERIFIED = '{"reason": "the hat is red", "agrees": true}'
BALL = '{"picture": "source", "label": "ball", "bbox_2d": [0, 0, 9, 8]}'


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        (VERIFIED, ()),
        (f'<think>{{"reason": "a draft"}}</think>{VERIFIED}', (Mending.THOUGHT,)),
        (f"It began in the prompt: {{.</think>\n{VERIFIED}", (Mending.THOUGHT,)),
        (f"```json\n{VERIFIED}\n```", (Mending.WORDS_AROUND,)),
        (f"{{{VERIFIED}}}", (Mending.DOUBLED_BRACES,)),
        (VERIFIED.replace("}", ",}"), (Mending.TRAILING_COMMA,)),
        (VERIFIED.replace("hat is", "hat\nis"), (Mending.CONTROL_CHARACTER,)),
    ],
)
def test_an_answer_is_mended_as_a_judges_is(text, mended):
    answer = read_answer(Reply(text=text), VerificationAnswer, "en")
    assert (answer.reason, answer.agrees) == ("the hat is red", True)
    assert answer.mended == mended


@pytest.mark.parametrize(
    "text", [f"[{BALL}]", f"<think>[1]</think>```[{BALL},]```", f'{{"regions": [{BALL}]}}']
)
def test_boxes_may_be_a_bare_list(text):
    [region] = read_answer(Reply(text=text), GroundingAnswer, "en").regions
    assert region.bbox_2d == (0, 0, 9, 8)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"<think>It may be {VERIFIED}, or", Fault.CUT_OFF),
        (f"[{VERIFIED}]", Fault.WRONG_FIELDS),
        (f"[{VERIFIED}", Fault.NOT_JSON),
        ("<think>a hat</think>I'm sorry, I cannot look at people.", Fault.REFUSED),
        ("<think>I cannot see it.</think>It looks fine.", Fault.NOT_JSON),
        (VERIFIED.replace("}", ', "mood": "good"}'), Fault.WRONG_FIELDS),
        (VERIFIED.replace("true", '"true"'), Fault.WRONG_FIELDS),
    ],
)
def test_what_no_mending_helps_is_a_fault(text, fault):
    form = GroundingAnswer if text.startswith("[") else VerificationAnswer
    with pytest.raises(TeacherFault) as caught:
        read_answer(Reply(text=text), form, "en")
    assert caught.value.fault is fault


def test_deep_nesting_is_not_json_that_can_be_used():
    with pytest.raises(TeacherFault, match="not JSON"):
        read_answer(Reply(text='{"a":' * 100_000), VerificationAnswer, "en")


@pytest.mark.parametrize("form", FORMS)
def test_a_number_that_is_too_long_to_be_read_is_not_json_that_can_be_used(form):
    with pytest.raises(TeacherFault, match=r"not JSON: .* more than 4,300 digits") as caught:
        read_answer(Reply(text='{"regions": [{"id": ' + "9" * 5_000 + "}]}"), form, "en")
    assert caught.value.fault is Fault.NOT_JSON


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "1" + "0" * 400])
def test_a_number_beyond_all_bounds_is_a_wrong_field(number):
    region = {"picture": "source", "label": "ball", "bbox_2d": [0, 0, 9, 8]}
    text = json.dumps({"regions": [region]})
    with pytest.raises(TeacherFault, match=r"regions\.0\.bbox_2d\.3: ") as caught:
        read_answer(Reply(text=text.replace("8", number)), GroundingAnswer, "en")
    assert caught.value.fault is Fault.WRONG_FIELDS


def test_half_a_surrogate_pair_is_no_text_to_learn_from():
    with pytest.raises(TeacherFault, match=r"reason: holds .* half a surrogate pair"):
        read_answer(Reply(text='{"reason": "a \\ud83e", "agrees": true}'), VerificationAnswer, "en")


def verification(reason: str) -> Reply:
    return Reply(text=json.dumps({"reason": reason, "agrees": True}, ensure_ascii=False))


SPOKEN = {
    "en": "the sign that says 北京 was replaced",
    "de": "das Schild wurde durch ein größeres ersetzt",
    "ru": "вывеска заменена на новую",
    "zh": "标志被替换了",
    "ja": "看板が置き換えられました",
    "ko": "간판이 교체되었습니다",
}


@pytest.mark.parametrize("language", SPOKEN)
def test_an_answer_in_the_language_asked_for_is_taken(language):
    answer = read_answer(verification(SPOKEN[language]), VerificationAnswer, language)
    assert answer.reason == SPOKEN[language]


@pytest.mark.parametrize(
    ("asked", "given"), [("en", "zh"), ("en", "ru"), ("zh", "en"), ("ru", "de"), ("ko", "en")]
)
def test_an_answer_in_another_script_is_not(asked, given):
    with pytest.raises(TeacherFault, match="wrong language"):
        read_answer(verification(SPOKEN[given]), VerificationAnswer, asked)


def objects_in(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects_in(value)


@pytest.mark.parametrize("form", FORMS)
def test_a_schema_is_one_that_strict_servers_take(form):
    schema = schema_of(form)
    for each in objects_in(schema):
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])
    text = json.dumps(schema)
    for keyword in ("minItems", "prefixItems", "default", "description", "maxLength", "anyOf"):
        assert f'"{keyword}"' not in text
