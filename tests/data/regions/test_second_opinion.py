import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialreward.data.edits import Extent, ProposedRegion, SpatialPrior
from spatialreward.data.regions.second_opinion import reconcile
from spatialreward.errors import InvalidInputError


def region(*box, evidence=0.6, changed_share=0.5):
    return ProposedRegion(bbox_2d=box, evidence=evidence, changed_share=changed_share)


def prior(*regions, extent=Extent.LOCAL):
    return SpatialPrior(
        extent=extent, regions=regions, changed_share=0.1, noise=1.0, shift_px=(0.0, 0.0)
    )


def test_a_region_that_is_named_gains_evidence_and_keeps_the_pixels_box():
    reconciled = reconcile(prior(region(100, 100, 200, 200)), [(100, 100, 200, 300)])
    (only,) = reconciled.regions
    assert only.bbox_2d == (100, 100, 200, 200)
    assert only.evidence == pytest.approx(1 - 0.4 * 0.5)
    assert reconciled.agreement == pytest.approx(0.5)


def test_pieces_of_one_named_thing_become_one_region():
    pieces = region(100, 100, 140, 200, evidence=0.4), region(160, 100, 200, 200, evidence=0.7)
    (only,) = reconcile(prior(*pieces), [(100, 100, 200, 200)]).regions
    assert only.bbox_2d == (100, 100, 200, 200)
    assert only.evidence == pytest.approx(1.0)
    assert only.changed_share == pytest.approx(0.5 * 0.8)


def test_a_named_box_where_no_pixel_changed_is_left_out():
    reconciled = reconcile(prior(region(0, 0, 100, 100)), [(0, 0, 100, 100), (500, 500, 600, 600)])
    assert [one.bbox_2d for one in reconciled.regions] == [(0, 0, 100, 100)]
    assert reconciled.agreement == pytest.approx(0.5)


def test_a_change_that_nobody_named_stays_as_it_is():
    unnamed = region(600, 600, 700, 700, evidence=0.9)
    reconciled = reconcile(prior(unnamed, region(0, 0, 100, 100, evidence=0.5)), [(0, 0, 100, 110)])
    assert unnamed in reconciled.regions
    assert len(reconciled.regions) == 2


def test_the_region_with_the_most_evidence_comes_first():
    weak, strong = region(0, 0, 100, 100, evidence=0.3), region(600, 600, 700, 700, evidence=0.5)
    reconciled = reconcile(prior(strong, weak), [(0, 0, 100, 105)])
    assert [one.bbox_2d for one in reconciled.regions] == [(0, 0, 100, 100), (600, 600, 700, 700)]


def test_a_box_drawn_much_too_large_changes_nothing_but_the_agreement():
    before = prior(region(100, 100, 150, 150), region(400, 400, 450, 450))
    reconciled = reconcile(before, [(0, 0, 1000, 1000)])
    assert reconciled.regions == before.regions
    assert reconciled.agreement == pytest.approx(0.005)


def test_a_global_edit_keeps_its_one_region():
    before = prior(region(0, 0, 1000, 1000), extent=Extent.GLOBAL)
    reconciled = reconcile(before, [(0, 0, 1000, 500)])
    assert reconciled.regions == before.regions
    assert reconciled.agreement == pytest.approx(0.5)


def test_both_agree_when_neither_sees_a_change():
    assert reconcile(prior(extent=Extent.NOTHING), []).agreement == 1.0
    assert reconcile(prior(extent=Extent.NOTHING), [(0, 0, 10, 10)]).agreement == 0.0


def test_a_box_without_area_is_refused():
    with pytest.raises(InvalidInputError, match=r"box 1: expected x1 < x2"):
        reconcile(prior(), [(0, 0, 10, 10), (5, 5, 5, 9)])


def test_a_share_that_is_none_is_refused():
    with pytest.raises(InvalidInputError, match="min_iou"):
        reconcile(prior(), [], min_iou=2)


def box_strategy():
    span = st.integers(0, 999).flatmap(lambda a: st.tuples(st.just(a), st.integers(a + 1, 1000)))
    return st.tuples(span, span).map(lambda both: (both[0][0], both[1][0], both[0][1], both[1][1]))


@settings(max_examples=40)
@given(
    changed=st.lists(st.tuples(box_strategy(), st.floats(0, 1)), min_size=1, max_size=6),
    named=st.lists(box_strategy(), max_size=6),
)
def test_no_change_is_ever_lost_and_no_evidence_either(changed, named):
    before = prior(*(region(*box, evidence=evidence) for box, evidence in changed))
    reconciled = reconcile(before, named)
    assert 0 <= reconciled.agreement <= 1
    for old in before.regions:
        x1, y1, x2, y2 = old.bbox_2d
        assert any(
            new.bbox_2d[0] <= x1
            and new.bbox_2d[1] <= y1
            and x2 <= new.bbox_2d[2]
            and y2 <= new.bbox_2d[3]
            and old.evidence <= new.evidence + 1e-9
            for new in reconciled.regions
        )
