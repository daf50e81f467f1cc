import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from spatialreward.data.edits import LabelledEdit, Ranking, Rejected
from spatialreward.data.sources.columns import Columns, RankingColumns
from spatialreward.data.sources.config import JsonlSource
from spatialreward.data.sources.opening import open_source
from tests.data.sources.small_data_sets import everything, picture, write_jsonl, write_pictures

PUBLIC_FORM = (
    Path(__file__).parents[4] / "shared" / "data" / "benchmarks" / "editreward_bench" / "jsonl"
)
EDITS = Columns(sources=("before",), edited="after.0", instruction="text", id=("id",))
PAIRS = RankingColumns(
    sources=("before",),
    edited=("after",),
    instruction="text",
    scores={"looks": ("looks",), "overall": ("total",)},
    names=("names",),
    editors=("editors",),
    id=("id",),
)
ROW = {
    "id": "r1",
    "before": "s.png",
    "after": ["a.png", "b.png", "c.png"],
    "text": "add a hat",
    "looks": [3, 4.5, 3],
    "total": [1, 2, 3],
    "names": ["one", "two", "three"],
    "editors": ["x", "y", "z"],
}


def rows_of(tmp_path, *rows, rankings=PAIRS):
    write_pictures(tmp_path, "s.png", "a.png", "b.png", "c.png")
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    config = JsonlSource(folder=str(tmp_path), columns=(EDITS,), rankings=(rankings,))
    return everything(open_source(config))


def test_more_is_better_and_equal_scores_tie(tmp_path):
    edit, ranking = rows_of(tmp_path, ROW)
    assert isinstance(edit, LabelledEdit)
    assert isinstance(ranking, Ranking)
    assert (ranking.id, ranking.instruction) == ("r1/ranking", "add a hat")
    assert ranking.sources == (picture("s.png"),)
    assert [(one.id, one.edited, one.editor) for one in ranking.edits] == [
        ("one", picture("a.png"), "x"),
        ("two", picture("b.png"), "y"),
        ("three", picture("c.png"), "z"),
    ]
    assert ranking.orders == {"looks": (1, 0, 1), "overall": (2, 1, 0)}


def test_a_dimension_that_lacks_a_score_has_no_order(tmp_path):
    _, ranking = rows_of(tmp_path, ROW | {"looks": [1, None, 2]})
    assert ranking.orders == {"overall": (2, 1, 0)}


def test_pictures_may_stand_best_first(tmp_path):
    columns = PAIRS.model_copy(update={"scores": {}, "best_first": "dimension", "names": ()})
    _, ranking = rows_of(tmp_path, ROW | {"dimension": "consistency"}, rankings=columns)
    assert ranking.orders == {"consistency": (0, 1, 2)}
    assert [one.id for one in ranking.edits] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"after": ["a.png"]}, "missing picture"),
        ({"after": ["a.png", "b.png", "none.png"]}, "missing picture"),
        ({"looks": None, "total": None}, "invalid ranking"),
        ({"looks": [1, 2]}, "invalid ranking"),
        ({"looks": [1, 2, "3"]}, "invalid ranking"),
        ({"names": ["one", "one", "two"]}, "invalid ranking"),
        ({"names": ["one"]}, "missing field"),
    ],
)
def test_a_row_that_puts_nothing_in_order_is_no_ranking(tmp_path, change, reason):
    found = rows_of(tmp_path, ROW | change)
    rejects = [row for row in found if isinstance(row, Rejected)]
    assert [(row.id, row.reason, row.kind) for row in rejects] == [
        ("r1/ranking", reason, "ranking")
    ]
    assert len(found) == 2


def test_a_mapping_says_what_is_better_in_one_way():
    with pytest.raises(ValidationError, match="expected `scores` or `best_first`"):
        RankingColumns(sources=("s",), edited=("e",), instruction="i")


def test_editscores_form_of_preferences(tmp_path):
    write_pictures(tmp_path, "images/i.jpg", "images/a.jpg", "images/b.jpg")
    row = {
        "key": ["17_a", "17_b"],
        "instruction": "Remove the car",
        "task_type": "subject-remove",
        "dimension": "consistency",
        "input_image": "images/i.jpg",
        "output_images": ["images/a.jpg", "images/b.jpg"],
    }
    write_jsonl(tmp_path / "bench.jsonl", [row])
    found = everything(open_source(JsonlSource(folder=str(tmp_path), columns="editscore-pairs")))
    assert [row.id for row in found] == [
        "editscore-pairs/bench.jsonl:1/0",
        "editscore-pairs/bench.jsonl:1/1",
        "editscore-pairs/bench.jsonl:1/ranking",
    ]
    first, _, ranking = found
    assert first.given == {"picture": "17_a", "dimension": "consistency"}
    assert ranking.orders == {"consistency": (0, 1)}
    assert [one.id for one in ranking.edits] == ["17_a", "17_b"]
    assert ranking.operation == "subject-remove"


@pytest.mark.skipif(not PUBLIC_FORM.is_dir(), reason="needs ../shared/data/benchmarks")
def test_editscores_published_form_is_read():
    source = open_source(JsonlSource(folder=str(PUBLIC_FORM), columns="editscore-pairs"))
    published = list(map(json.loads, (PUBLIC_FORM / "bench.jsonl").read_text().splitlines()))
    rankings = [row for row in everything(source) if isinstance(row, Ranking)]
    assert [[one.id for one in ranking.edits] for ranking in rankings] == [
        row["key"] for row in published
    ]
    assert [list(ranking.orders) for ranking in rankings] == [
        [row["dimension"]] for row in published
    ]
