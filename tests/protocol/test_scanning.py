import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.protocol.scanning import AnswerScanner

SEMANTIC = {
    "edit_region": [{"id": 0, "label": 'a "red" [', "bbox_2d": [1, 2, 3, 4]}],
    "reasoning": '"score": [',
    "score": [20, 22],
}


def scanned(text, size=1, **how):
    scanner = AnswerScanner(**how)
    for start in range(0, len(text), size):
        scanner.read(text[start : start + size])
    return scanner


@pytest.mark.parametrize(
    "text",
    [
        '{"reasoning": "clean", "score": [',
        '{"reasoning": "clean", "score": [25, ',
        '{"score":[7,',
        '{\n  "score" : [\n    ',
        '{"score": [ 20 ,\t',
        '{{"score": [',
        '<think>"score": [</think>{"score": [',
    ],
)
def test_a_score_is_due_behind_its_bracket_and_its_comma(text):
    assert scanned(text).at_score


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"reasoning": "',
        '"score": [',
        '{"score": [2',
        '{"score": [25 ',
        '{"score": [25, 25',
        '{"score": [25, 25, ',
        '{"score": [[',
        '{"bbox_2d": [',
        '{"inner": {"score": [',
        '{"reasoning": "\\"score\\": [',
        '<think>{"score": [',
    ],
)
def test_no_score_is_due_elsewhere(text):
    assert not scanned(text).at_score


def test_a_list_is_an_answer_where_one_may_begin_with_its_bracket():
    text = 'see: [{"a": [1]}, "]"] and more'
    found = scanned(text, begins="{[")
    assert text[found.begin : found.end] == '[{"a": [1]}, "]"]'
    alone = scanned(text)
    assert text[alone.begin : alone.end] == '{"a": [1]}'


@given(
    indent=st.sampled_from([None, 0, 2, 4]),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
    scores=st.tuples(st.integers(0, 25), st.integers(0, 25)),
)
def test_scores_stand_where_the_json_says_however_it_is_written(indent, separators, scores):
    answer = SEMANTIC | {"score": list(scores)}
    text = json.dumps(answer, indent=indent, separators=separators)
    scanner, written = AnswerScanner(), ["", ""]
    num_begun = 0
    for character in text:
        was_due = scanner.at_score
        scanner.read(character)
        num_begun += was_due and not scanner.at_score
        if scanner.score_digits:
            written[num_begun - 1] = scanner.score_digits
    assert (num_begun, [int(one) for one in written]) == (2, list(scores))


@given(
    value=st.dictionaries(
        st.text(max_size=5), st.recursive(st.text(max_size=9), st.lists, max_leaves=5), min_size=1
    ),
    size=st.integers(1, 7),
)
def test_an_answer_is_complete_at_the_brace_that_closes_its_object_and_not_before(value, size):
    text = json.dumps(value, ensure_ascii=False)
    assert scanned(text, size).is_complete
    assert not scanned(text[:-1], size).is_complete


def test_braces_inside_strings_do_not_count():
    assert not scanned('{"a": "}\\"}').is_complete
    assert scanned('{"a": "}\\"}"}').is_complete


def test_words_before_the_object_do_not_complete_it():
    assert not scanned('} I say "{":').is_complete


@pytest.mark.parametrize(
    ("text", "thinking"),
    [
        ('<think>maybe {"score": [0, 0]}</think> {"score": [1, 2]}', False),
        ("<think>the objects {cup, plate} differ</think>{}", False),
        ('maybe {"score": [0, 0]} </think>{}', True),
    ],
)
def test_what_is_thought_is_no_answer(text, thinking):
    scanner = scanned(text, thinking=thinking)
    assert scanner.text[scanner.begin : scanner.end] in ("{}", '{"score": [1, 2]}')
    assert not scanned(text[: text.index("</think>")], thinking=thinking).is_complete
