import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.judge.answers import GrowingAnswer


def written(text, size=1):
    answer = GrowingAnswer()
    for start in range(0, len(text), size):
        answer.write(text[start : start + size])
    return answer


@pytest.mark.parametrize(
    "text", ['{"reasoning": "clean", "score": [', 'clean", "score": [25, ', '"score":[7,']
)
def test_a_score_is_due_behind_its_bracket_and_its_comma(text):
    assert written(text).at_score


@pytest.mark.parametrize("text", ["", '{"reasoning": "', '"score": [25, 25', '"bbox_2d": ['])
def test_no_score_is_due_elsewhere(text):
    assert not written(text).at_score


@given(
    value=st.dictionaries(
        st.text(max_size=5), st.recursive(st.text(max_size=9), st.lists, max_leaves=5), min_size=1
    ),
    size=st.integers(1, 7),
)
def test_an_answer_is_complete_at_the_brace_that_closes_its_object_and_not_before(value, size):
    text = json.dumps(value, ensure_ascii=False)
    assert written(text, size).complete
    assert not written(text[:-1], size).complete


def test_braces_inside_strings_do_not_count():
    assert not written('{"a": "}\\"}').complete
    assert written('{"a": "}\\"}"}').complete


def test_words_before_the_object_do_not_complete_it():
    assert not written('} I say "{":').complete
