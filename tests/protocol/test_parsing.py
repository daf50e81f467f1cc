import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from spatialreward.cli.edits import EditRequest
from spatialreward.cli.verdict import print_verdict, to_json
from spatialreward.errors import JudgementError
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.records import Judgement, JudgementStatus, Scores
from spatialreward.server.requests import write_response
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
    ("change", "reason"),
    [
        ({"score": [25]}, "score"),
        ({"score": [25, 26]}, "score.1"),
        ({"score": [25, float("nan")]}, "score.1"),
        ({"edit_region": [REGION | {"bbox_2d": [9, 0, 9, 10]}]}, "x1 < x2"),
        ({"edit_region": [REGION, REGION]}, "not unique"),
        ({"reasoning": "<|bbox_7|> odd"}, r"do not exist: \[7\]"),
        ({"verdict": "great"}, "verdict"),
    ],
)
def test_a_wrong_answer_fails_with_its_reason(change: dict, reason: str):
    with pytest.raises(JudgementError, match=reason):
        parse_semantic(json.dumps(SEMANTIC | change))


@given(st.text())
def test_no_text_breaks_the_parser(text: str):
    for parse in (parse_semantic, parse_perceptual):
        with suppress(JudgementError):
            assert len(parse(text).score) == 2


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
    with pytest.raises(JudgementError, match="names a region by a number of 5000 digits"):
        parse_semantic(json.dumps(SEMANTIC | {"reasoning": reasoning}))


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
        return Judgement.failed(str(error))
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


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(answer=ANSWERS | st.dictionaries(TEXT, ANY_JSON, max_size=3))
@example(answer=SEMANTIC | {"edit_region": [REGION | {"label": "scarf \ud83e"}]})
@example(answer=SEMANTIC | {"\ud83e": 1})
@example(answer=SEMANTIC | {"reasoning": "\0\x1b[2J\ud83e"})
def test_whatever_is_parsed_can_be_written(answer):
    judgement = judgement_of(json.dumps(answer))
    written = judgement.model_dump_json().encode()
    assert Judgement.model_validate_json(written) == judgement
    write_response([judgement], "judge", "1")
    request = EditRequest(id="a", source=Path("s"), edited=Path("e"), instruction="x")
    assert json.loads(to_json(request, judgement, "", with_id=True))["status"] == judgement.status
    draw_overlay(Image.new("RGB", (9, 9)), Image.new("RGB", (9, 9)), judgement)
    if judgement.status is JudgementStatus.OK:
        print_verdict(judgement, (9, 9))
