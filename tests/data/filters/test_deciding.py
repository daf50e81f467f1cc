import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.data.filters.config import (
    BalanceRules,
    DuplicateRules,
    FilterConfig,
    ReasoningRules,
)
from spatialreward.data.filters.deciding import decide
from spatialreward.data.filters.decontamination import BenchmarkIndex, BenchmarkItem
from spatialreward.data.filters.facts import EditFacts, facts_table
from spatialreward.data.filters.reasons import Reason
from spatialreward.errors import InvalidInputError


def test_every_filter_has_its_own_count(facts):
    item = BenchmarkItem(benchmark="b", id="1", instruction="x", fingerprints=("0" * 16,))
    rows = [
        facts(0, sources=[0]),
        facts(1),
        facts(2, digest=facts(1).digest),
        facts(3, sources=facts(1).sources, edited=facts(1).edited),
        *(facts(number, reasoning=9) for number in range(4, 7)),
        *(facts(number, source_digest=b"s" * 16) for number in range(7, 10)),
        *(facts(number, operation="add") for number in range(10, 16)),
    ]
    config = FilterConfig(
        reasoning=ReasoningRules(max_same_reasoning=2),
        balance=BalanceRules(full_cell=5, exponent=0.0, max_per_source=2),
    )
    decisions = decide(facts_table(rows), config, BenchmarkIndex(items=(item,)))
    assert decisions.counts.left_out == {
        Reason.BENCHMARK_OVERLAP: 1,
        Reason.EXACT_DUPLICATE: 1,
        Reason.NEAR_DUPLICATE: 1,
        Reason.REPEATED_REASONING: 1,
        Reason.OVER_SOURCE_CAP: 1,
        Reason.OVER_CELL_CAP: 1,
    }
    assert (decisions.counts.seen, decisions.counts.kept) == (16, 10)
    assert [(cell.operation, cell.before, cell.after) for cell in decisions.cells] == [
        ("add", 6, 5),
        ("", 5, 5),
    ]


def test_an_edit_does_not_give_way_to_one_that_goes_itself(facts):
    item = BenchmarkItem(benchmark="b", id="1", instruction="x", fingerprints=("0" * 16,))
    rows = [facts(0, sources=[0b111111], edited=0), facts(1, sources=[0b1111111], edited=0b1111111)]
    config = FilterConfig(duplicates=DuplicateRules(source_bits=8, edited_bits=8))
    decisions = decide(facts_table(rows), config, BenchmarkIndex(items=(item,)))
    assert list(decisions.left_out) == ["e0"]


def test_filters_that_are_switched_off_keep_everything(facts):
    config = FilterConfig(
        duplicates=None, balance=None, reasoning=ReasoningRules(max_same_reasoning=None)
    )
    rows = [facts(0, reasoning=1)._replace(id=f"e{number}") for number in range(300)]
    decisions = decide(facts_table(rows), config)
    assert decisions.left_out == {}
    assert decisions.counts.kept == 300
    assert decisions.cells == ()


def test_an_id_that_comes_twice_is_an_error(facts):
    with pytest.raises(InvalidInputError, match="edit e0: comes 2 times"):
        decide(facts_table([facts(0), facts(0)]), FilterConfig())


def test_no_edits_are_decided_over_without_complaint():
    decisions = decide(facts_table([]), FilterConfig())
    assert (decisions.left_out, decisions.counts.seen) == ({}, 0)


ROWS = st.lists(
    st.builds(
        lambda group, source, edited, digest, success: EditFacts(
            "",
            f"do {group}",
            "",
            "",
            [source],
            edited,
            bytes([digest] * 16),
            bytes(16),
            success,
            None,
        ),
        st.integers(0, 1),
        st.sampled_from([0, 1, 3, 2**32 - 1]),
        st.sampled_from([0, 7, 2**32 - 1]),
        st.integers(0, 40),
        st.sampled_from([None, 3.0, 20.0]),
    ),
    max_size=30,
)


@given(ROWS)
def test_what_stays_would_stay_again(rows):
    table = facts_table(row._replace(id=str(number)) for number, row in enumerate(rows))
    config = FilterConfig(balance=None)
    first = decide(table, config)
    staying = [id not in first.left_out for id in table["id"].to_pylist()]
    again = decide(table.filter(pa.array(staying, type=pa.bool_())), config)
    assert again.left_out == {}
    assert again.counts.seen == first.counts.kept


def test_pictures_that_stand_alone_are_left_as_they_are_by_what_needs_a_source(facts, caplog):
    alone = {"instruction": "", "sources": [], "source_digest": None, "edited": 5}
    config = FilterConfig(balance=BalanceRules(full_cell=1, exponent=0.0, max_per_source=1))
    rows = [facts(number, **alone) for number in range(4)]
    rows.append(facts(4, **alone | {"digest": facts(0).digest}))
    with caplog.at_level("INFO"):
        decisions = decide(facts_table([*rows, facts(9)]), config)
    assert "5 edits have no source picture" in caplog.text
    assert {id: why.reason for id, why in decisions.left_out.items()} == {
        "e4": Reason.EXACT_DUPLICATE
    }


def test_a_picture_of_a_benchmark_is_left_out_also_where_it_stands_alone(facts):
    item = BenchmarkItem(benchmark="b", id="1", instruction="x", fingerprints=("0" * 16,))
    alone = facts(0, instruction="", sources=[], source_digest=None, edited=0)
    decisions = decide(facts_table([alone]), FilterConfig(), BenchmarkIndex(items=(item,)))
    assert decisions.left_out["e0"].reason is Reason.BENCHMARK_OVERLAP
