import pytest
import torch

from spatialreward.errors import Failure
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import Judgement, Scores
from spatialreward.rl.advantages import Comparison, compare
from spatialreward.rl.regions import Place, coverage, places_of, region_maps, was_asked_for
from tests.rl.judging import WHOLE, judgement

LEFT, RIGHT = (0, 0, 500, 1000), (500, 0, 1000, 1000)
NEAR_LEFT, CORNER = (0, 0, 480, 1000), (750, 750, 1000, 1000)
ALONE = Comparison({"judge": 1.0})
FAILED = Judgement.failed("cannot see", Failure.NOT_JSON)


def maps(judgements, size, grid=(1, 2), comparison=ALONE, **more):
    rewards = {
        "judge": torch.tensor(
            [float("nan") if one.reward is None else one.reward for one in judgements]
        ).view(-1, size)
    }
    return region_maps(judgements, rewards | more, comparison, grid, 0.5)


def test_boxes_that_overlap_enough_are_one_place_and_each_edit_has_one_of_it():
    first, second = (0, 0, 100, 100), (10, 0, 110, 100)
    places = places_of([[first, (500, 500, 600, 600)], [second], [first, second]], 0.5)
    found = sorted((place.boxes for place in places), key=lambda boxes: sorted(boxes))
    # The third edit's second box fits the second edit's better than the first one's does.
    assert {0: first, 2: first} in found
    assert {1: second, 2: second} in found
    assert {0: (500, 500, 600, 600)} in found
    assert len(found) == 3


def test_an_edit_without_a_places_box_has_the_mean_of_the_others():
    place = Place({0: (0, 0, 100, 200), 2: (20, 0, 120, 100)})
    assert place.box_of(2) == (20, 0, 120, 100)
    assert place.box_of(1) == (10, 0, 110, 150)


def test_the_order_of_edits_plays_no_part():
    boxes = [[(0, 0, 100, 100)], [(30, 0, 130, 100)], [(60, 0, 160, 100)]]
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        places = places_of([boxes[number] for number in order], 0.5)
        sizes = [len(place.boxes) for place in places]
        assert sizes == [3]


def scores(success, kept):
    return Scores(editing_success=success, over_editing=kept)


def test_a_place_of_some_edits_was_asked_for_if_these_are_the_better_ones():
    place = Place({0: LEFT, 1: LEFT})
    did, did_not = scores(20, 24), scores(3, 25)
    assert was_asked_for(place, {0: did, 1: did, 2: did_not})
    clean, spoiled = scores(20, 24), scores(20, 10)
    assert not was_asked_for(place, {0: spoiled, 1: spoiled, 2: clean})
    assert was_asked_for(place, {0: spoiled, 1: spoiled})


def test_boxes_cover_positions_by_their_area():
    assert coverage([(0, 0, 1000, 1000)], (3, 7))[1]
    assert coverage([LEFT, RIGHT], (3, 5))[1]
    assert coverage([LEFT, RIGHT], (3, 5))[0].numpy() == pytest.approx(1)
    shares, is_all = coverage([(250, 0, 750, 500)], (2, 2))
    assert shares.tolist() == [[0.5, 0.5], [0, 0]]
    assert not is_all
    for boxes in ([(10, 20, 30, 70)], [(10, 20, 25, 70), (20, 20, 30, 70)]):
        assert float(coverage(boxes, (4, 4))[0].sum()) == pytest.approx(20 * 50 / 250**2)
    assert not coverage([], (2, 2))[0].any()


def test_success_counts_inside_and_restraint_outside():
    # The first edit did best what was asked, and the second left the rest best alone.
    judged = [
        judgement(24, 5, [LEFT]),
        judgement(10, 24, [NEAR_LEFT]),
        judgement(12, 12, [LEFT]),
    ]
    result = maps(judged, 3)
    inside, outside = (
        compare(torch.tensor([[form.reward(one.scores) for one in judged]])).advantages_PG[0]
        for form in (
            Aggregation(editing_success=1, over_editing=0),
            Aggregation(editing_success=0, over_editing=1),
        )
    )
    assert result.maps_Bhw.shape == (3, 1, 2)
    assert torch.allclose(result.maps_Bhw[0, 0], torch.stack([inside[0], outside[0]]))
    covered = 480 / 500
    mixed = covered * inside[1] + (1 - covered) * outside[1]
    assert torch.allclose(result.maps_Bhw[1, 0], torch.stack([mixed, outside[1]]))
    assert inside.argmax() == 0
    assert outside.argmax() == 1
    assert result.counts_PG.all()
    assert result.metrics["regions/asked_for"] == [1.0]
    assert result.metrics["regions/over_edited"] == [0.0]


def test_where_only_some_edits_did_more_than_asked_the_others_are_the_better_ones():
    judged = [
        judgement(20, 5, [LEFT, CORNER]),
        judgement(20, 24, [LEFT]),
        judgement(20, 23, [LEFT]),
    ]
    result = maps(judged, 3, grid=(4, 4))
    corner = result.maps_Bhw[:, 3, 3]
    assert corner[0] < 0 < corner[1]
    # All of them did what was asked alike.
    assert result.maps_Bhw[:, :, :2].abs().max() < 1e-6
    assert result.metrics["regions/over_edited"] == [1.0]


def test_an_edit_that_did_nothing_is_worse_where_the_others_did_what_was_asked():
    judged = [judgement(20, 25, [LEFT]), judgement(18, 25, [LEFT]), judgement(1, 25, [])]
    result = maps(judged, 3)
    assert result.maps_Bhw[2, 0, 0] < -1
    assert result.maps_Bhw[:, 0, 1].abs().max() == 0


@pytest.mark.parametrize("boxes", [WHOLE, (LEFT, RIGHT), ()])
def test_without_a_rest_or_without_places_the_map_is_the_advantage_of_the_whole_picture(boxes):
    judged = [judgement(a, b, boxes) for a, b in ((24, 5), (3, 20), (12, 12), (9, 21))]
    result = maps(judged, 4, grid=(3, 5))
    expected = compare(torch.tensor([[one.reward for one in judged]])).advantages_PG[0]
    assert torch.equal(result.maps_Bhw, expected.view(4, 1, 1).expand(4, 3, 5))
    assert result.metrics["regions/whole_picture_share"] == [1.0]


def test_groups_are_apart_and_failed_judgements_are_left_out():
    judged = [
        judgement(24, 5, [LEFT]),
        FAILED,
        judgement(12, 12, [LEFT]),
        *[judgement(one, one, WHOLE) for one in (3, 9, 9)],
    ]
    result = maps(judged, 3)
    assert result.maps_Bhw[1].eq(0).all()
    assert result.counts_PG.tolist() == [[True, False, True], [True, True, True]]
    whole = compare(torch.tensor([[one.reward for one in judged[3:]]])).advantages_PG[0]
    assert torch.equal(result.maps_Bhw[3:], whole.view(3, 1, 1).expand(3, 1, 2))


def test_other_rewards_speak_of_the_whole_picture():
    both = Comparison({"judge": 1.0, "pixels": 1.0}, "each")
    judged = [judgement(20, 20, [LEFT]), judgement(20, 20, [LEFT])]
    result = maps(judged, 2, comparison=both, pixels=torch.tensor([[0.1, 0.9]]))
    assert torch.equal(result.maps_Bhw[:, 0, 0], result.maps_Bhw[:, 0, 1])
    assert result.maps_Bhw[1, 0, 0] > 0.5


def test_a_judge_without_regions_has_no_maps():
    assert maps([judgement(3, 4), judgement(9, 9), FAILED, FAILED], 2) is None
