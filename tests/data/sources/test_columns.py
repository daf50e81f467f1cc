import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from spatialreward.data.sources.columns import (
    AnswerColumns,
    Columns,
    RankingColumns,
    RegionColumns,
)
from spatialreward.data.sources.config import ParquetSource, SourceConfig
from spatialreward.data.sources.interface import RowError
from spatialreward.data.sources.regions import regions_of
from spatialreward.data.sources.sharding import contiguous, file_shares
from spatialreward.data.sources.values import look_up, value_at

ROW = {
    "a": {"b": [{"c": 1}, {"c": 2}, {"c": 3}]},
    "x.y": {"z": "dots in the name"},
    "x": {"y": "the shorter name"},
    "text": '{"c": [4, 5]}',
    "data": b'{"c": 6}',
    "none": None,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.1.c", 2),
        ("a.b.-1.c", 3),
        ("a.b.:-1.c", [1, 2]),
        ("a.b.1:", [{"c": 2}, {"c": 3}]),
        ("a.b.3.c", None),
        ("a.b.-4.c", None),
        ("a.b.c", None),
        ("a.b.1.c.d", None),
        ("x.y.z", "dots in the name"),
        ("text.c.1", 5),
        ("data.c", 6),
        ("none;nothing;a.b.0.c", 1),
        ("none", None),
        ("nothing.at.all", None),
    ],
)
def test_a_path_leads_through_mappings_lists_and_json(path, value):
    assert look_up(ROW, path) == value


def test_a_path_into_a_text_that_is_no_json_says_so():
    with pytest.raises(RowError, match=r"column text\.c: is not JSON"):
        look_up({"text": "{"}, "text.c")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (3, 3.0),
        (True, "true"),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        ("ä", "ä"),
        (b"ab", "ab"),
        ([1, "ä"], '[1, "ä"]'),
        (None, None),
    ],
)
def test_what_is_kept_is_a_number_or_a_text(value, kept):
    assert value_at({"column": value}, "column") == kept


def only_box(written, **options):
    row = {"boxes": [written], "w": 200, "h": 400}
    return regions_of(row, RegionColumns(boxes="boxes", **options))[0].bbox_2d


@pytest.mark.parametrize(
    ("box", "options", "expected"),
    [
        ([100, 200, 300, 400], {}, (100, 200, 300, 400)),
        ([100, 200, 300, 400], {"order": "xywh"}, (100, 200, 400, 600)),
        ([100, 200, 300, 400], {"order": "yxyx"}, (200, 100, 400, 300)),
        ([0.57, 0.1, 0.9, 1.0], {"unit": "share"}, (570, 100, 900, 1000)),
        (
            [20, 40, 100, 400.9],
            {"unit": "pixel", "width": "w", "height": "h"},
            (100, 100, 500, 1000),
        ),
        ([20, 40, 20.1, 41], {"unit": "pixel", "width": "w", "height": "h"}, (100, 100, 101, 103)),
        ({"b": [1, 2, 3, 4]}, {"box": "b"}, (1, 2, 3, 4)),
    ],
)
def test_boxes_are_read_in_any_order_and_unit(box, options, expected):
    assert only_box(box, **options) == expected


@pytest.mark.parametrize(
    "box", [[1, 2, 3], "1,2,3,4", [5, 5, 5, 9], [9, 1, 5, 2], [0, 0, 1500, 10], None, ["a"] * 4]
)
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(RowError) as caught:
        only_box(box)
    assert caught.value.reason == "invalid regions"


def test_no_boxes_and_an_empty_list_of_boxes_differ():
    columns = RegionColumns(boxes="boxes")
    assert regions_of({}, columns) is None
    assert regions_of({"boxes": []}, columns) == ()


def test_boxes_in_pixels_need_a_size():
    with pytest.raises(ValidationError, match="need the columns `width` and `height`"):
        RegionColumns(boxes="boxes", unit="pixel")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"pictures": "p", "edited": "e", "instruction": "i"}, "got both"),
        ({"instruction": "i"}, "expected `sources`, `edited` or `pictures`"),
        ({"sources": ("s",)}, "source pictures need an `instruction`"),
        ({"edited": "e", "instruction": "i"}, "and it needs `sources`"),
        ({"edited": "e", "answers": {}}, "expected `either`, `sc` or `pq`"),
    ],
)
def test_a_mapping_names_pictures_and_what_was_asked_for(columns, problem):
    with pytest.raises(ValidationError, match=problem):
        Columns.model_validate(columns)


def test_a_data_set_of_pictures_that_stand_alone_needs_no_instruction():
    assert Columns(edited="picture").required() == ("picture",)


@given(total=st.integers(0, 300), num_shards=st.integers(1, 50))
def test_runs_of_rows_are_disjoint_together_everything_and_even(total, num_shards):
    parts = [contiguous(total, shard, num_shards) for shard in range(num_shards)]
    assert [row for part in parts for row in part] == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(num_files=st.integers(1, 12), num_shards=st.integers(1, 40), rows=st.integers(0, 20))
def test_shares_of_files_are_disjoint_and_together_everything(num_files, num_shards, rows):
    found = [
        (share.file, row)
        for shard in range(num_shards)
        for share in file_shares(num_files, shard, num_shards)
        for row in range(rows)
        if share.has(row)
    ]
    assert sorted(found) == [(file, row) for file in range(num_files) for row in range(rows)]


def test_settings_are_distinguished_by_their_kind_and_one_mapping_needs_no_list():
    settings = {
        "kind": "parquet",
        "folder": "data",
        "columns": {"sources": ["a"], "instruction": "b", "given": ["c"]},
    }
    config = TypeAdapter(SourceConfig).validate_python(settings)
    assert config == ParquetSource(
        folder="data", columns=(Columns(sources=("a",), instruction="b", given={"c": "c"}),)
    )
    assert TypeAdapter(SourceConfig).validate_json(config.model_dump_json()) == config


DOCS = Path(__file__).parents[3] / "docs" / "data.md"
FORMS = {
    tuple[str, ...]: "list of columns",
    dict[str, str]: "table of names and columns",
    dict[str, tuple[str, ...]]: "table of dimensions and lists of columns",
}


@pytest.mark.parametrize(
    ("heading", "record"),
    [
        ("key", Columns),
        ("key of `regions`", RegionColumns),
        ("key of `answers`", AnswerColumns),
        ("key of `rankings`", RankingColumns),
    ],
)
def test_the_docs_have_every_key_of_a_mapping(heading, record):
    lines = DOCS.read_text().partition(f"\n| {heading} | what | required | form |\n")[2]
    table = lines.partition("\n\n")[0].splitlines()[1:]
    rows = {key.strip(" `"): rest for _, key, *rest, _ in (line.split("|") for line in table)}
    assert list(rows) == list(record.model_fields)
    for key, field in record.model_fields.items():
        _, required, form = (cell.strip() for cell in rows[key])
        assert required == ("yes" if field.is_required() else "no"), key
        assert form.startswith(FORMS.get(field.annotation, "")), key
        if get_origin(field.annotation) is Literal:
            assert re.findall(r"`(\w+)`", form) == list(get_args(field.annotation))
