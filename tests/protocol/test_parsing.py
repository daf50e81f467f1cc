import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.errors import JudgementError
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic

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
