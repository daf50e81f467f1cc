import itertools

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatialreward.benchmarks.statistics import mean_of
from spatialreward.benchmarks.tiger_bench import TigerBench
from spatialreward.errors import InvalidInputError
from tests.benchmarks.folders import failed, figures, inside, judged, judgements_of, png

LETTERS = "ABCD"


def rows_of(name, ranking, *, source=None):
    """The rows of a group, ranked such as B>A>C, or A=B."""
    letters = sorted(letter for letter in ranking if letter in LETTERS)
    source, pictures = inside(source or png()), {one: inside(png()) for one in letters}
    return [
        {
            "id": f"{name}_{first}{second}",
            "dataset": f"{len(letters)}pair",
            "instruction": "add a dog",
            "source_image": source,
            "candidate_1": pictures[first],
            "candidate_2": pictures[second],
            "ranking": ranking
            if "=" in ranking
            else ">".join(sorted((first, second), key=ranking.index)),
            "score_1": 1.0,
            "comparison_type": f"{first}vs{second}",
        }
        for first, second in itertools.combinations(letters, 2)
    ]


def write(folder, *groups):
    rows = [row for group in groups for row in group]
    for kind in ("2pair", "3pair", "4pair"):
        if of_kind := [row for row in rows if row["dataset"] == kind]:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            path = folder / kind / "train-00000-of-00001.parquet"
            pq.write_table(pa.Table.from_pylist(of_kind), path)
    return folder


def both(metric):
    return metric.reference, mean_of(metric.ours)


def test_rows_of_one_group_are_one_item(tmp_path):
    groups = (rows_of("a", "B>A"), rows_of("b", "C>A>B"), rows_of("c", "D>A>C>B"))
    items = TigerBench.read(write(tmp_path, *groups)).published.items
    assert [len(item.candidates) for item in items] == [2, 3, 4]
    assert [item.order for item in items] == [(1, 0), (2, 0, 1), (3, 0, 2, 1)]
    assert len({one.key for item in items for one in item.candidates}) == 9


def test_a_group_is_right_as_a_whole(tmp_path):
    groups = (rows_of("a", "B>A"), rows_of("b", "C>A>B"))
    bench = TigerBench.read(write(tmp_path, *groups))
    script = {"2pair/a_AB": [judged(1), judged(2)], "3pair/b": [judged(3), judged(2), judged(1)]}
    found = figures(bench, judgements_of(bench, script))
    assert both(found["strict"]) == (0.5, 0.5)
    assert both(found["strict/3pair"]) == (0.0, 0.0)
    # Of C>A, C>B and A>B the judge has the last one alone.
    assert found["pairs/3pair"].reference == 1 / 3


def test_the_published_threshold_of_ties_is_chosen_on_the_labels(tmp_path):
    groups = (rows_of("a", "A=B"), rows_of("b", "A>B"))
    bench = TigerBench.read(write(tmp_path, *groups))
    script = {"2pair/a_AB": [judged(20), judged(19)], "2pair/b_AB": [judged(20), judged(5)]}
    found = figures(bench, judgements_of(bench, script))
    # Ours has no threshold: the judge scored the tied edits differently.
    assert both(found["strict/2pair"]) == (1.0, 0.5)
    assert found["pairs/2pair"].reference == 1.0


def test_equal_scores_rank_the_later_edit_first_under_reference_rules(tmp_path):
    bench = TigerBench.read(write(tmp_path, rows_of("b", "C>B>A")))
    found = figures(bench, judgements_of(bench, {"3pair/b": [judged(9)] * 3}))
    assert both(found["strict"]) == (1.0, 0.0)
    assert mean_of(found["ties"].ours) == 1.0


def test_groups_with_gaps_are_left_out_by_one_and_wrong_by_the_other(tmp_path):
    groups = (rows_of("a", "A>B"), rows_of("b", "A>B"), rows_of("c", "A>B"))
    bench = TigerBench.read(write(tmp_path, *groups))
    script = {
        "2pair/a_AB": [judged(2), judged(1)],
        "2pair/b_AB": [judged(2), failed()],
        "2pair/c_AB": [judged(2), None],
    }
    found = figures(bench, judgements_of(bench, script))
    assert both(found["strict"]) == (1.0, pytest.approx(1 / 3))
    assert mean_of(found["failed"].ours) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.pop(), "expected 3 comparisons, got 2"),
        (lambda rows: rows[0].update(ranking="B>C"), "ranking: expected one of"),
        (lambda rows: rows[0].update(ranking="A=B"), "ranking: expected one of"),
        (lambda rows: rows[0].update(comparison_type="A"), "expected such as AvsB"),
        (lambda rows: rows[1].update(ranking="C>A"), "make no order"),
        (lambda rows: rows[1].update(candidate_1=inside(png())), "candidate A is another one"),
        (lambda rows: rows[1].update(candidate_2=inside(b"no")), "candidate_2"),
    ],
)
def test_a_group_that_is_none_is_left_out_by_name(tmp_path, change, reason):
    rows = rows_of("b", "A>B>C")
    change(rows)
    published = TigerBench.read(write(tmp_path, rows_of("a", "A>B"), rows)).published
    assert len(published.items) == 1
    assert reason in published.left_out[0].reason


def test_editscores_benchmark_is_another_one(tmp_path):
    (tmp_path / "2pair").mkdir()
    table = pa.Table.from_pylist([{"key": ["a", "b"], "task_type": "x"}])
    pq.write_table(table, tmp_path / "2pair" / "train.parquet")
    with pytest.raises(InvalidInputError, match="another version"):
        TigerBench.read(tmp_path)
