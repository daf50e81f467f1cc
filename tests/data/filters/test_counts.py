import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.data.edits import RowOrigin
from spatialreward.data.filters.counts import FilterCounts
from spatialreward.data.filters.reasons import Finding, Reason
from spatialreward.errors import InvalidInputError

COUNTS = st.builds(
    FilterCounts.of, st.integers(0, 50), st.lists(st.sampled_from([*Reason, "teacher gave up"]))
)


@given(COUNTS, COUNTS, COUNTS)
def test_counts_of_shards_add_up_in_any_order(one, two, three):
    assert (one + two) + three == three + (two + one)
    assert (one + two).seen == one.seen + two.seen


@given(COUNTS)
def test_counts_survive_being_written(counts):
    assert FilterCounts.model_validate_json(counts.model_dump_json()) == counts


def test_a_later_filter_looks_at_what_was_kept():
    shards = FilterCounts.of(8, ["unreadable picture"] * 2)
    whole = shards.after(FilterCounts.of(5, [Reason.EXACT_DUPLICATE] * 3))
    assert (whole.seen, whole.kept) == (10, 5)
    assert whole.left_out == {"exact duplicate": 3, "unreadable picture": 2}
    with pytest.raises(InvalidInputError, match="8 rows were kept, and 7 looked at"):
        shards.after(FilterCounts.of(7, []))


def test_rows_left_out_by_choice_are_no_faults():
    counts = FilterCounts.of(5, [Reason.EXACT_DUPLICATE, Reason.OVER_CELL_CAP, "broken tar"])
    assert counts.faulty == 1
    assert counts.faulty_share == 1 / 8


def test_too_many_faults_stop_the_run_and_the_dominating_reason_is_named():
    counts = FilterCounts.of(6, ["unreadable picture"] * 3 + ["no instruction"])
    counts.check(0.4, "data set pets")
    with pytest.raises(InvalidInputError) as caught:
        counts.check(0.39, "data set pets")
    assert str(caught.value) == (
        "data set pets: 4 of 10 rows cannot be used (40.0 %, at most 39 % are allowed), most of "
        "them for: unreadable picture (3, 75 %), no instruction (1, 25 %)"
    )


def test_of_many_reasons_the_first_three_are_named():
    counts = FilterCounts.of(0, ["a", "b", "c", "c", "d", "e"])
    assert counts.why() == "c (2, 33 %), a (1, 17 %), b (1, 17 %) and 2 more reasons"


def test_nothing_seen_is_nothing_at_fault():
    FilterCounts().check(0.0, "empty shard")
    assert FilterCounts().why() == ""


def test_counts_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="5 rows seen are not 3 kept and 1 left out"):
        FilterCounts(seen=5, kept=3, left_out={"a": 1})


def test_a_finding_becomes_an_entry_of_the_rejects_file():
    finding = Finding(Reason.NO_INSTRUCTION, "instruction: is empty")
    rejected = finding.reject("e7", RowOrigin(file="a.tar", row="7"))
    assert rejected.model_dump() == {
        "id": "e7",
        "kind": "edit",
        "reason": "no instruction",
        "detail": "instruction: is empty",
        "origin": {"file": "a.tar", "row": "7"},
    }
