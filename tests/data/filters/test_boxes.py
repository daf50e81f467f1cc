import pytest

from spatialreward.data.edits import Extent, ProposedRegion, SpatialPrior
from spatialreward.data.filters.boxes import check_boxes
from spatialreward.data.filters.config import EvidenceRules
from spatialreward.data.filters.reasons import Reason
from spatialreward.records import EditRegion

RULES = EvidenceRules(min_backed_share=0.05, min_covered_share=0.2)
LEFT, RIGHT = (0, 0, 400, 1000), (600, 0, 1000, 1000)


def named(*boxes):
    return [EditRegion(id=id, label="x", bbox_2d=box) for id, box in enumerate(boxes)]


def prior(*boxes_and_evidence, extent=Extent.LOCAL):
    regions = tuple(
        ProposedRegion(bbox_2d=box, evidence=evidence, changed_share=0.5)
        for box, evidence in boxes_and_evidence
    )
    return SpatialPrior(
        extent=extent, regions=regions, changed_share=0.1, noise=1.0, shift_px=(0.0, 0.0)
    )


def test_boxes_where_pixels_changed_are_believed():
    assert check_boxes(named(LEFT), prior((LEFT, 0.9)), RULES) is None


def test_boxes_where_nothing_changed_are_not():
    found = check_boxes(named(RIGHT), prior((LEFT, 0.9)), RULES)
    assert found.reason is Reason.BOXES_WITHOUT_EVIDENCE
    assert "0.0 % of the boxes' area lies where pixels changed" in found.detail


def test_boxes_that_miss_most_of_the_change_are_not():
    found = check_boxes(named((0, 0, 40, 1000)), prior((LEFT, 1.0), (RIGHT, 1.0)), RULES)
    assert "5.0 % of the changed area lies in boxes" in found.detail


def test_proposals_count_by_their_evidence():
    assert check_boxes(named(LEFT), prior((LEFT, 0.9), (RIGHT, 0.1)), RULES) is None
    assert check_boxes(named(LEFT), prior((LEFT, 0.1), (RIGHT, 0.9)), RULES) is not None


def test_a_box_around_a_whole_object_may_be_much_larger_than_the_change():
    assert check_boxes(named((0, 0, 1000, 1000)), prior(((0, 0, 250, 250), 1.0)), RULES) is None


@pytest.mark.parametrize("extent", [Extent.NOTHING, Extent.GLOBAL])
def test_failed_and_global_edits_are_not_held_to_it(extent):
    regions = [((0, 0, 1000, 1000), 1.0)] if extent is Extent.GLOBAL else []
    assert check_boxes(named((0, 0, 10, 10)), prior(*regions, extent=extent), RULES) is None


def test_no_boxes_are_no_contradiction():
    assert check_boxes([], prior((LEFT, 0.9)), RULES) is None
