import json

import pytest

from spatialreward.data.sources.columns import AnswerColumns
from spatialreward.data.sources.labels import LabelError, label_of, spoken_at
from spatialreward.records import Scores

SC = {"edit_region": [], "reasoning": "<|global|> nothing was done", "score": [0, 25]}
PQ = {"reasoning": "sharp and clean", "score": [25, 24]}
EITHER = AnswerColumns(either="answer")


def label(row, columns=EITHER, **options):
    row_has = {"has_source": True, "has_edited": True, "asks_for_edit": False}
    return label_of(row, columns, **row_has | options, by="the annotators")


def answer(value) -> dict:
    return {"answer": json.dumps(value)}


def test_answers_of_both_streams_are_one_label():
    row = {"sc": json.dumps(SC), "pq": PQ}
    found = label(row, AnswerColumns(sc="sc", pq="pq"))
    assert found.scores == Scores(
        editing_success=0, over_editing=25, naturalness=25, artifact_freedom=24
    )
    assert (found.sc_reasoning, found.pq_reasoning) == (SC["reasoning"], PQ["reasoning"])
    assert (found.regions, found.teacher) == ((), "the annotators")


def test_a_stream_without_an_answer_is_left_open():
    columns = AnswerColumns(sc="sc", pq="pq")
    assert label({"pq": PQ}, columns).scores == Scores(naturalness=25, artifact_freedom=24)
    assert label({}, columns) is None
    assert label({"answer": None}) is None


def test_the_stream_follows_from_the_answers_keys_where_the_question_does_not_tell():
    assert label(answer(SC)).is_semantic
    assert label(answer(PQ)).is_perceptual


@pytest.mark.parametrize(
    ("row", "options", "problem"),
    [
        (answer(PQ), {"asks_for_edit": True}, "answer cannot be read: column answer"),
        (answer(SC), {"has_source": False}, "SC answer without a source picture: column answer"),
        (answer(SC), {"has_edited": False}, "answer without an edited picture: column answer"),
        (answer(PQ | {"score": [25, 26]}), {}, "answer cannot be read: column answer"),
        ({"answer": "I cannot judge this."}, {}, "answer cannot be read: column answer"),
        ({"answer": ""}, {}, "answer cannot be read: column answer"),
        ({"answer": json.dumps(SC)[:-9]}, {}, "answer cannot be read: column answer"),
        ({"answer": [1, 2]}, {}, "answer cannot be read: column answer: expected text, got list"),
        (
            answer(SC | {"reasoning": "<|global|> fine <|im_end|>"}),
            {},
            "answer holds a reserved token: sc_reasoning holds '<|im_end|>'",
        ),
    ],
)
def test_an_answer_that_is_no_label_is_dropped_with_its_reason(row, options, problem):
    with pytest.raises(LabelError) as caught:
        label(row, **options)
    assert str(caught.value).startswith(problem)


def test_two_answers_of_one_stream_are_no_label():
    with pytest.raises(LabelError, match="two answers of one stream"):
        label({"answer": PQ, "pq": PQ}, AnswerColumns(either="answer", pq="pq"))


def test_the_words_of_a_turn_may_come_in_parts():
    parts = [{"type": "image"}, {"type": "text", "text": "one, "}, {"type": "text", "text": "two"}]
    assert spoken_at({"turn": parts}, "turn") == "one, two"
    assert spoken_at({"turn": "one"}, "turn") == "one"
    assert spoken_at({}, "turn") is None
