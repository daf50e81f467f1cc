import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from spatialreward.cli.edits import EditRequest
from spatialreward.cli.verdict import print_verdict, to_json
from spatialreward.errors import Failure, JudgementError
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.rendering import render_perceptual, render_semantic
from spatialreward.records import Judgement, JudgementStatus, Mending, Scores
from spatialreward.serving.requests import write_response
from spatialreward.visuals import draw_overlay

REGION = {"id": 0, "label": "red square", "bbox_2d": [0, 10, 500, 600]}
SEMANTIC = {
    "edit_region": [REGION],
    "reasoning": "<|bbox_0|> red. <|global|> done.",
    "score": [25, 20],
}


def test_a_semantic_answer_is_read():
    answer = parse_semantic(json.dumps(SEMANTIC))
    assert answer.edit_region[0].bbox_2d == (0, 10, 500, 600)
    assert answer.score == (25.0, 20.0)


def test_nothing_edited_has_no_regions():
    answer = parse_semantic(
        json.dumps(SEMANTIC | {"edit_region": [], "reasoning": "<|global|> same"})
    )
    assert answer.edit_region == ()


def test_text_after_the_closing_brace_is_ignored():
    assert parse_perceptual('{"reasoning": "ok", "score": [3, 4]} and then').score == (3.0, 4.0)


@pytest.mark.parametrize(
    ("change", "failure", "reason"),
    [
        ({"score": [25]}, Failure.WRONG_FORM, "score"),
        ({"score": [25, 20, 20]}, Failure.WRONG_FORM, "score"),
        ({"score": [25, None]}, Failure.WRONG_FORM, "score.1"),
        ({"score": [True, 20]}, Failure.WRONG_FORM, "score.0"),
        ({"score": ["25/25", 20]}, Failure.WRONG_FORM, "score.0"),
        ({"score": 25}, Failure.WRONG_FORM, "score"),
        ({"score": [25, 26]}, Failure.SCORE_OUT_OF_RANGE, "score.1"),
        ({"score": [-1, 20]}, Failure.SCORE_OUT_OF_RANGE, "score.0"),
        ({"score": [25, float("nan")]}, Failure.SCORE_OUT_OF_RANGE, "score.1"),
        ({"edit_region": [REGION | {"bbox_2d": [1, 2, 3]}]}, Failure.WRONG_REGIONS, "bbox_2d"),
        ({"edit_region": [REGION | {"bbox_2d": "all"}]}, Failure.WRONG_REGIONS, "bbox_2d"),
        ({"edit_region": [REGION | {"bbox_2d": [False, 1, 2, 3]}]}, Failure.WRONG_REGIONS, "bbox"),
        ({"edit_region": [REGION | {"id": True}]}, Failure.WRONG_REGIONS, "id"),
        ({"edit_region": [REGION | {"id": "first"}]}, Failure.WRONG_REGIONS, "id"),
        ({"edit_region": ["all"]}, Failure.WRONG_REGIONS, "edit_region.0"),
        ({"edit_region": "none"}, Failure.WRONG_REGIONS, "edit_region"),
        ({"reasoning": ["done"]}, Failure.WRONG_FORM, "reasoning"),
    ],
)
def test_a_wrong_answer_fails_with_its_reason(change: dict, failure, reason: str):
    with pytest.raises(JudgementError, match=reason) as caught:
        parse_semantic(json.dumps(SEMANTIC | change))
    assert caught.value.failure is failure


@pytest.mark.parametrize("key", SEMANTIC)
def test_a_missing_field_is_named(key):
    with pytest.raises(JudgementError, match=f"{key}: Field required") as caught:
        parse_semantic(json.dumps({name: SEMANTIC[name] for name in SEMANTIC if name != key}))
    assert caught.value.failure is Failure.WRONG_FORM


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("", Failure.NO_ANSWER),
        ("I cannot judge pictures of people.", Failure.NO_ANSWER),
        ('[{"score": [1, 2]', Failure.NOT_JSON),
        ('{"edit_region": [], "reasoning": \'it\', "score": [1, 2]}', Failure.NOT_JSON),
        ("<think>first the left half", Failure.CUT_OFF),
        ("<think>done</think> nothing to say", Failure.NO_ANSWER),
    ],
)
def test_what_holds_no_answer_fails_with_its_reason(text, failure):
    with pytest.raises(JudgementError) as caught:
        parse_semantic(text)
    assert caught.value.failure is failure


SOUND = json.dumps(SEMANTIC)
DRAFT = '{"edit_region": [], "reasoning": "nothing", "score": [0, 0]}'
MENDED = {
    Mending.THOUGHT: [
        f"<think>maybe {DRAFT} but no</think>{SOUND}",
        f"<think>the objects {{cup, plate}} differ</think>\n\n{SOUND}",
        f"<think>\n\n</think>\n\n{SOUND}",
        # A template has opened the thought in the prompt.
        f"maybe {DRAFT} but no\n</think>\n{SOUND}",
    ],
    Mending.WORDS_AROUND: [f"```json\n{SOUND}\n```", f"Here it is: {SOUND}", f"{SOUND} Done."],
    Mending.DOUBLED_BRACES: [f"{{{SOUND}}}", f"{{ {SOUND} }}"],
    Mending.TRAILING_COMMA: [
        SOUND.replace("20]", "20, ]"),
        SOUND.replace("}],", "},],"),
        SOUND[:-1] + ",\n}",
    ],
    Mending.CONTROL_CHARACTER: [SOUND.replace("> red. <", "> red.\n\t<")],
    Mending.UNKNOWN_KEY: [
        json.dumps(SEMANTIC | {"verdict": "great"}),
        json.dumps(SEMANTIC | {"edit_region": [REGION | {"confidence": 0.5}]}),
    ],
    Mending.QUOTED_NUMBER: [
        json.dumps(SEMANTIC | {"score": ["25", 20]}),
        json.dumps(SEMANTIC | {"edit_region": [REGION | {"id": "0"}]}),
        json.dumps(SEMANTIC | {"edit_region": [REGION | {"bbox_2d": ["0", "10", "500", "600"]}]}),
    ],
    Mending.FRACTIONAL_BOX: [
        json.dumps(SEMANTIC | {"edit_region": [REGION | {"bbox_2d": [0, 10.4, 499.6, 600.0001]}]})
    ],
    Mending.EMPTY_REGION: [
        json.dumps(
            SEMANTIC | {"edit_region": [REGION, REGION | {"id": 1, "bbox_2d": [9, 0, 9, 10]}]}
        )
    ],
    Mending.UNKNOWN_REGION: [
        json.dumps(SEMANTIC | {"reasoning": "<|bbox_0|> red. <|bbox_7|> <|global|> done."}),
        json.dumps(SEMANTIC | {"reasoning": f"<|bbox_{'9' * 5_000}|> " + SEMANTIC["reasoning"]}),
    ],
}


@pytest.mark.parametrize(
    ("mending", "text"), [(one, text) for one, texts in MENDED.items() for text in texts]
)
def test_what_models_often_get_wrong_is_mended_and_named(mending, text):
    answer = parse_semantic(text)
    assert answer.mended == (mending,)
    expected = parse_semantic(SOUND)
    if mending is Mending.CONTROL_CHARACTER:
        expected = expected.model_copy(update={"reasoning": "<|bbox_0|> red.\n\t<|global|> done."})
    assert answer.model_dump() == expected.model_dump()
    with pytest.raises(JudgementError, match=f"needs mending .{mending}., which is not allowed"):
        parse_semantic(text, allowed=set(Mending) - {mending})


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (SOUND[:-1] + ', "score": [1, 1]}', "score"),
        (SOUND[:-1] + ', "sc\\u006fre": [1, 1],}', "score"),
        (SOUND[:-1] + ', "edit_region": []}', "edit_region"),
        (SOUND.replace('"id": 0', '"id": 0, "id": 1'), "id"),
    ],
)
def test_a_key_with_two_values_is_a_failure_since_nothing_says_which_is_meant(text, key):
    with pytest.raises(JudgementError, match=f"'{key}' stands there twice") as caught:
        parse_semantic(text)
    assert caught.value.failure is Failure.WRONG_FORM


def test_a_key_that_says_the_same_twice_is_read():
    assert parse_semantic(SOUND[:-1] + ', "score": [25, 20]}').score == (25.0, 20.0)


def test_a_box_beyond_the_picture_ends_at_its_edge():
    region = REGION | {"bbox_2d": [-3, 10, 500, 1020]}
    answer = parse_semantic(json.dumps(SEMANTIC | {"edit_region": [region]}))
    assert answer.edit_region[0].bbox_2d == (0, 10, 500, 1000)
    assert answer.mended == (Mending.CLIPPED_BOX,)


def test_regions_with_one_id_are_numbered_in_their_order():
    text = json.dumps(
        SEMANTIC
        | {
            "edit_region": [REGION, REGION | {"label": "blue circle"}],
            "reasoning": "<|bbox_0|> a <|bbox_1|> b",
        }
    )
    answer = parse_semantic(text)
    assert [(one.id, one.label) for one in answer.edit_region] == [
        (0, "red square"),
        (1, "blue circle"),
    ]
    assert answer.mended == (Mending.REPEATED_REGION_ID,)


@pytest.mark.parametrize("same", ["0", 0.0])
def test_ids_that_mean_the_same_are_numbered_however_they_are_written(same):
    regions = [REGION, REGION | {"id": same}]
    answer = parse_semantic(json.dumps(SEMANTIC | {"edit_region": regions}))
    assert [one.id for one in answer.edit_region] == [0, 1]
    assert Mending.REPEATED_REGION_ID in answer.mended


def test_digits_of_another_script_name_no_region():
    text = json.dumps(SEMANTIC | {"reasoning": "<|bbox_\u0663|> red"})
    assert parse_semantic(text, allowed=()).reasoning == "<|bbox_\u0663|> red"


def test_the_end_of_a_thought_within_a_text_of_the_answer_ends_nothing():
    answer = parse_semantic(json.dumps(SEMANTIC | {"reasoning": "<|global|> </think> done"}))
    assert answer.reasoning == "<|global|> </think> done"
    assert answer.mended == ()


def test_a_comma_in_a_text_is_no_trailing_comma():
    text = json.dumps(SEMANTIC | {"reasoning": "odd,] and,}"}).replace("20]", "20,]")
    assert parse_semantic(text).reasoning == "odd,] and,}"


@given(st.text())
def test_no_text_breaks_the_parser(text: str):
    for parse in (parse_semantic, parse_perceptual):
        with suppress(JudgementError):
            assert len(parse(text).score) == 2


@pytest.mark.parametrize(
    "text",
    [
        ">" * 2_000_000,
        "<think>" + ">" * 2_000_000,
        '{"edit_region": [], "reasoning": "' + '\\"' * 500_000,
        '{"edit_region": [], "reasoning": "' + "'\\\\\"" * 300_000,
        '{"edit_region": [], "score": [' + "9" * 2_000_000,
        '{"edit_region": [], "score": [' + "1, " * 500_000,
    ],
    ids=["arrows", "thought", "quotes", "backslashes", "digits", "scores"],
)
def test_a_long_answer_costs_time_by_its_length_alone(text):
    # By the square of it, this would take longer than any test may.
    with pytest.raises(JudgementError):
        parse_semantic(text)


def test_deep_nesting_is_an_error_not_a_crash():
    with pytest.raises(JudgementError):
        parse_semantic('{"edit_region": ' + "[" * 100_000)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            '{"edit_region": [{"id": ' + "9" * 5_000 + "}]}",
            "answer is not JSON: it holds a number of more than 4,300 digits; it begins",
        ),
        ('{"edit_region": [{"id": ' + "9" * 4_000 + "}]}", r"edit_region\.0\.id: "),
        ('{"edit_region": [{"id": 1e999}]}', r"edit_region\.0\.id: "),
        ('{"edit_region": [], "reasoning": "", "score": [1, 1e999]}', r"score\.1: "),
        ('{"edit_region": [], "reasoning": "", "score": [NaN, 1]}', r"score\.0: "),
        ('{"edit_region": [], "reasoning": "", "score": [-Infinity, 1]}', r"score\.0: "),
    ],
)
def test_a_number_beyond_all_bounds_is_a_failure_with_a_reason(text, reason):
    with pytest.raises(JudgementError, match=f"^{reason}"):
        parse_semantic(text)


def test_a_region_named_by_a_number_without_end_is_a_failure_with_a_reason():
    reasoning = f"<|bbox_{'9' * 5_000}|> odd"
    region = REGION | {"id": 0.0}
    with pytest.raises(JudgementError, match="names a region by a number of 5000 digits"):
        parse_semantic(json.dumps(SEMANTIC | {"edit_region": [region], "reasoning": reasoning}))


def test_half_a_surrogate_pair_becomes_a_character_that_can_be_written():
    region = REGION | {"label": "scarf \ud83e"}
    answer = parse_semantic(
        json.dumps(SEMANTIC | {"edit_region": [region], "reasoning": "\udd23 <|global|> ok \ud83e"})
    )
    assert answer.edit_region[0].label == "scarf \N{REPLACEMENT CHARACTER}"
    assert answer.reasoning == "\N{REPLACEMENT CHARACTER} <|global|> ok \N{REPLACEMENT CHARACTER}"


def judgement_of(text):
    """What a judge makes of the SC stream's text; the PQ stream repeats its reasoning."""
    try:
        semantic = parse_semantic(text)
    except JudgementError as error:
        return Judgement.failed(str(error), error.failure)
    first, second = semantic.score
    return Judgement(
        status=JudgementStatus.OK,
        regions=semantic.edit_region,
        sc_reasoning=semantic.reasoning,
        pq_reasoning=semantic.reasoning,
        scores=Scores(editing_success=first, over_editing=second),
        reward=0.5,
    )


TEXT = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(
    ["\ud83e", "\udd23", "a\0b", "\x1b[2J", "<|bbox_0|>", "\ufeff", "[/bold]", "\r\n\t"]
)
NUMBER = st.integers() | st.floats() | st.integers(0, 25) | st.just(2**64)
ANSWERS = st.fixed_dictionaries(
    {
        "edit_region": st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.integers(0, 3) | NUMBER,
                    "label": TEXT,
                    "bbox_2d": st.just([0, 10, 500, 600]) | st.lists(NUMBER, max_size=5),
                }
            ),
            max_size=2,
        ),
        "reasoning": TEXT,
        "score": st.just([20, 22]) | st.lists(NUMBER, max_size=3),
    }
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(answer=ANSWERS | st.dictionaries(TEXT, ANY_JSON, max_size=3))
@example(answer=SEMANTIC | {"edit_region": [REGION | {"label": "scarf \ud83e"}]})
@example(answer=SEMANTIC | {"\ud83e": 1})
@example(answer=SEMANTIC | {"reasoning": "\0\x1b[2J\ud83e"})
def test_whatever_is_parsed_can_be_written(answer):
    judgement = judgement_of(json.dumps(answer))
    if judgement.status is JudgementStatus.OK:
        semantic = parse_semantic(json.dumps(answer))
        again = parse_semantic(render_semantic(semantic), allowed=())
        assert again.model_dump() == semantic.model_dump()
    written = judgement.model_dump_json().encode()
    assert Judgement.model_validate_json(written) == judgement
    write_response([judgement], "judge", "1")
    request = EditRequest(id="a", source=Path("s"), edited=Path("e"), instruction="x")
    assert json.loads(to_json(request, judgement, "", with_id=True))["status"] == judgement.status
    draw_overlay(Image.new("RGB", (9, 9)), Image.new("RGB", (9, 9)), judgement)
    if judgement.status is JudgementStatus.OK:
        print_verdict(judgement, (9, 9))


@given(reasoning=TEXT, score=st.lists(st.floats(0, 25), min_size=2, max_size=2))
def test_a_perceptual_answer_is_read_from_what_is_written_of_it(reasoning, score):
    answer = parse_perceptual(json.dumps({"reasoning": reasoning, "score": score}))
    assert parse_perceptual(render_perceptual(answer), allowed=()) == answer


def test_whole_scores_are_written_as_whole_numbers():
    answer = parse_perceptual('{"reasoning": "ok", "score": [20.0, 22.5]}')
    assert render_perceptual(answer) == '{"reasoning": "ok", "score": [20, 22.5]}'
