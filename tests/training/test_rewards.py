import pytest

from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.parsing import ALL_MENDINGS
from spatialreward.records import EditRegion, Streams
from spatialreward.training import rewards
from spatialreward.training.rewards import Known, Place, ReadAnswer, read_answer

SC, PQ = Streams.SEMANTIC, Streams.PERCEPTUAL
LEFT = EditRegion(id=0, label="hat", bbox_2d=(0, 0, 200, 100))
GOOD = (
    '{"edit_region": [{"id": 0, "label": "hat", "bbox_2d": [0, 0, 100, 100]}], '
    '"reasoning": "<|bbox_0|> a hat. <|global|> done", "score": [20, 10]}'
)


def read(text, stream=SC, tokens=10, allowed=ALL_MENDINGS):
    return read_answer(text, tokens, stream, allowed)


def of_words(reasoning):
    return read(f'{{"reasoning": "{reasoning}", "score": [1, 2]}}', PQ)


def test_form_tells_strict_from_mended_from_unreadable():
    assert rewards.form(read(GOOD)) == 1.0
    assert rewards.form(read(f"```json\n{GOOD}\n```")) == 0.5
    assert rewards.form(read(f"```json\n{GOOD}\n```", allowed=())) == 0.0
    assert rewards.form(read(GOOD[:-5])) == 0.0
    assert rewards.form(read("")) == 0.0


def test_regions_are_matched_and_only_the_sc_stream_has_some():
    assert rewards.iou(read(GOOD), Known(SC, [LEFT])) == 0.5
    assert rewards.iou(read(GOOD), Known(SC, [])) == 0.0
    assert rewards.iou(read("no"), Known(SC, [LEFT])) == 0.0
    assert rewards.iou(read(GOOD), Known(SC)) is None
    assert rewards.iou(of_words("clean"), Known(PQ, [LEFT])) is None


def test_agreement_is_the_distance_from_the_labels_scores():
    assert rewards.agreement(read(GOOD), Known(SC, scores=(20, 10))) == 1.0
    assert rewards.agreement(read(GOOD), Known(SC, scores=(15, 20))) == pytest.approx(0.7)
    assert rewards.agreement(read("no"), Known(SC, scores=(0, 0))) == 0.0
    assert rewards.agreement(read(GOOD), Known(SC)) is None


@pytest.mark.parametrize(("tokens", "penalty"), [(1, 0), (75, 0), (80, -0.2), (100, -1), (200, -1)])
def test_length_costs_from_three_quarters_of_the_longest_on(tokens, penalty):
    assert rewards.length(read(GOOD, tokens=tokens), 100) == pytest.approx(penalty)


def test_repetition_is_the_share_of_runs_that_stood_there_before():
    assert rewards.repetition(of_words("a b c d e")) == 0.0
    # Eight words are five runs: abcd bcda cdab dabc abcd.
    assert rewards.repetition(of_words("a b c d a b c d")) == pytest.approx(-1 / 5)
    assert rewards.repetition(of_words("short")) == 0.0
    assert rewards.repetition(read("so so so so so so")) == pytest.approx(-2 / 3)


def test_an_answer_is_ordered_against_the_mean_of_each_other_candidate():
    ranks = (0, 1, 1)
    places = [Place("r", candidate, ranks) for candidate in (0, 0, 1, 1, 2)]
    # Means: candidate 0 has 0.65, 1 has 0.5, 2 has 0.52.
    given = rewards.orders([0.9, 0.4, 0.6, 0.4, 0.52], places)
    assert given == [1.0, 0.0, 0.5, 0.5, 1.0]


def test_what_cannot_be_ordered_earns_nothing_and_is_no_ones_rival():
    first, second = Place("r", 0, (0, 1)), Place("r", 1, (0, 1))
    other = Place("s", 0, (0, 1))
    assert rewards.orders([0.9, None, 0.3, 0.5, 0.1], [first, first, second, None, other]) == [
        1.0,
        0.0,
        1.0,
        None,
        None,
    ]
    assert rewards.orders([0.9, None], [first, second]) == [None, 0.0]


def test_an_answers_scores_are_its_streams_part_of_the_reward():
    # (0.6 * 20 + 0.4 * 10) / 25
    assert rewards.overall(read(GOOD), SC, Aggregation()) == pytest.approx(0.64)
    assert rewards.overall(of_words("clean"), PQ, Aggregation()) == pytest.approx(0.06)
    assert rewards.overall(ReadAnswer("no", 1, None), SC, Aggregation()) is None
