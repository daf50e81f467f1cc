import pytest

from spatialreward.data.regions.overlap import box_iou, union_iou


def test_boxes_that_overlap_are_counted_once():
    assert union_iou([(0, 0, 100, 100), (0, 0, 100, 50)], [(0, 0, 100, 100)]) == 1.0


def test_the_union_of_two_halves_is_the_whole():
    assert union_iou([(0, 0, 50, 100), (50, 0, 100, 100)], [(0, 0, 100, 100)]) == 1.0


def test_half_of_a_box_has_an_iou_of_one_half():
    assert union_iou([(0, 0, 50, 100)], [(0, 0, 100, 100)]) == pytest.approx(0.5)
    assert box_iou((0, 0, 50, 100), (0, 0, 100, 100)) == pytest.approx(0.5)


def test_nothing_agrees_with_nothing_only():
    assert union_iou([], []) == 1.0
    assert union_iou([], [(0, 0, 1, 1)]) == 0.0
    assert box_iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0.0
