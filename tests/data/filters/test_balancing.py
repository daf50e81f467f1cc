from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from spatialreward.data.filters.balancing import balance, cap_of, over_source_cap
from spatialreward.data.filters.config import BalanceRules
from spatialreward.data.filters.facts import EditFacts, facts_table
from spatialreward.data.filters.reasons import Reason

RULES = BalanceRules(full_cell=4, exponent=0.5)


def edits(kinds):
    empty = bytes(16)
    return [
        EditFacts(f"e{number}", "x", operation, "", [0], 0, empty, empty, success, None)
        for number, (operation, success) in enumerate(kinds)
    ]


def test_large_cells_shrink_to_their_power():
    assert [cap_of(size, RULES) for size in (0, 3, 4, 9, 16, 100)] == [0, 3, 4, 6, 8, 20]


def test_the_exponent_says_how_much_large_cells_shrink():
    assert cap_of(100, BalanceRules(full_cell=4, exponent=0.0)) == 4
    assert cap_of(100, BalanceRules(full_cell=4, exponent=1.0)) == 100
    assert cap_of(100, BalanceRules(full_cell=4, exponent=1.0, max_cell=30)) == 30


def test_cells_are_operations_and_steps_of_success():
    table = facts_table(
        edits([("add", 25.0)] * 16 + [("add", 1.0)] * 3 + [("", None)] * 9 + [("style", 22.0)] * 4)
    )
    balanced = balance(table, RULES)
    assert [(str(cell), cell.before, cell.after) for cell in balanced.cells] == [
        ("add, success 20 to 25", 16, 8),
        ("no operation, no score", 9, 6),
        ("style, success 20 to 25", 4, 4),
        ("add, success 0 to 5", 3, 3),
    ]
    assert len(balanced.left_out) == 8 + 3
    finding = next(iter(balanced.left_out.values()))
    assert finding == (Reason.OVER_CELL_CAP, "add, success 20 to 25: 8 of 16 stay")


KINDS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", ""]), st.sampled_from([None, 0.0, 12.0, 25.0])),
    max_size=60,
)
ANY_RULES = st.builds(
    BalanceRules,
    full_cell=st.integers(1, 20),
    exponent=st.floats(0, 1),
    max_cell=st.none() | st.integers(1, 20),
    seed=st.integers(0, 3),
)


@given(KINDS, ANY_RULES, st.randoms())
def test_no_cell_exceeds_its_cap_and_the_order_of_edits_does_not_matter(kinds, rules, random):
    rows = edits(kinds)
    balanced = balance(facts_table(rows), rules)
    staying = Counter(
        (row.operation, row.success) for row in rows if row.id not in balanced.left_out
    )
    sizes = Counter((row.operation, row.success) for row in rows)
    assert staying == Counter({kind: cap_of(size, rules) for kind, size in sizes.items()})
    assert all(cell.after <= (rules.max_cell or 60) for cell in balanced.cells)
    random.shuffle(rows)
    assert balance(facts_table(rows), rules) == balanced


def test_another_seed_leaves_out_others():
    table = facts_table(edits([("add", 25.0)] * 64))
    left_out = [balance(table, RULES.model_copy(update={"seed": seed})).left_out for seed in (1, 2)]
    assert len(left_out[0]) == len(left_out[1])
    assert set(left_out[0]) != set(left_out[1])


def test_more_edits_of_one_kind_change_nothing_in_another():
    few = [("add", 25.0)] * 20
    alone = balance(facts_table(edits(few)), RULES)
    together = balance(facts_table(edits(few + [("style", 25.0)] * 50)), RULES)
    assert set(alone.left_out) == {id for id in together.left_out if int(id[1:]) < 20}


def test_a_source_keeps_as_many_edits_as_the_cap_says():
    rows = [
        row._replace(source_digest=bytes([n % 2] * 16))
        for n, row in enumerate(edits([("", None)] * 7))
    ]
    left_out = over_source_cap(facts_table(rows), BalanceRules(max_per_source=2))
    assert Counter(int(id[1:]) % 2 for id in left_out) == {0: 2, 1: 1}
    assert next(iter(left_out.values())).reason is Reason.OVER_SOURCE_CAP
    assert over_source_cap(facts_table(rows), BalanceRules()) == {}
