import json

import pytest

from spatialreward.data.sources.columns import AnswerColumns
from spatialreward.data.sources.labels import LabelError, label_of, spoken_at
from spatialreward.records import Mending, Scores

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
    assert (found.regions, found.judged_by) == ((), "the annotators")


def test_the_reward_of_a_label_is_made_of_its_scores():
    # SC (0.6 * 20 + 0.4 * 10) / 2.5 = 6.4, PQ (0.5 * 25 + 0.5 * 25) / 2.5 = 10.
    row = {"sc": SC | {"score": [20, 10]}, "pq": PQ | {"score": [25, 25]}}
    columns = AnswerColumns(sc="sc", pq="pq")
    assert label(row, columns).reward == pytest.approx(6.4**0.8 * 10**0.2 / 10)
    assert label({"sc": row["sc"]}, columns).reward == pytest.approx(0.64)


def test_a_label_says_what_was_put_right_in_its_answers():
    row = {"sc": f"Here it is: {json.dumps(SC)}", "pq": f"Well, {json.dumps(PQ)[:-1]},}}"}
    found = label(row, AnswerColumns(sc="sc", pq="pq"))
    assert found.mended == (Mending.WORDS_AROUND, Mending.TRAILING_COMMA)


def test_a_stream_without_an_answer_is_left_open():
    columns = AnswerColumns(sc="sc", pq="pq")
    assert label({"pq": PQ}, columns).scores == Scores(naturalness=25, artifact_freedom=24)
    assert label({}, columns) is None
    assert label({"answer": None}) is None


def test_the_stream_follows_from_the_answers_keys_where_the_question_does_not_tell():
    assert label(answer(SC)).scores.is_semantic
    assert label(answer(PQ)).scores.is_perceptual


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
