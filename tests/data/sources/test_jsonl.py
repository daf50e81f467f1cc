import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatialreward.data.edits import LabelledEdit, Rejected
from spatialreward.data.sources import json_rows
from spatialreward.data.sources.columns import AnswerColumns, Columns, RegionColumns
from spatialreward.data.sources.config import JsonlSource
from spatialreward.data.sources.opening import open_source
from spatialreward.errors import InvalidInputError
from tests.data.sources.small_data_sets import (
    edits_of,
    everything,
    picture,
    reasons_of,
    write_jsonl,
    write_pictures,
)

COLUMNS = Columns(sources=("source",), edited="edited", instruction="instruction", id=("id",))
ROW = {"id": "one", "instruction": "make it red", "source": "a.jpg", "edited": "b.jpg"}
REAL_EDITS = Path(__file__).parents[4] / "shared" / "data" / "real_edits"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    write_pictures(root, "a.jpg", "b.jpg")
    return root


def source(folder: Path, columns: Columns = COLUMNS, **options):
    return open_source(JsonlSource(folder=str(folder), columns=columns, **options))


def test_a_row_becomes_an_edit_with_its_pictures_bytes(folder):
    write_jsonl(folder / "edits.jsonl", [ROW])
    [edit] = edits_of(source(folder))
    assert edit.id == "one"
    assert edit.instruction == "make it red"
    assert edit.sources == (picture("a.jpg"),)
    assert edit.edited == picture("b.jpg")
    assert (edit.origin.file, edit.origin.row) == ("edits.jsonl", "1")
    assert (edit.operation, edit.given_regions, edit.given) == ("", None, {})


def test_a_prompt_with_an_answer_loses_the_answer_only(folder):
    answers = AnswerColumns(pq="answer")
    columns = COLUMNS.model_copy(update={"edited": "", "answers": answers})
    write_jsonl(folder / "edits.jsonl", [ROW | {"answer": '{"reasoning": "", "score": [1, 2]}'}])
    [edit] = edits_of(source(folder, columns))
    assert (edit.edited, edit.label) == (None, None)
    assert edit.lost_label == "answer without an edited picture: column answer"


def test_who_drew_a_picture_is_read_where_the_row_says_it(folder):
    write_jsonl(folder / "edits.jsonl", [ROW | {"by": "omnigen"}, ROW | {"id": "two"}])
    columns = COLUMNS.model_copy(update={"editor": "by"})
    assert [edit.editor for edit in edits_of(source(folder, columns))] == ["omnigen", ""]


def test_without_a_column_of_ids_file_and_line_are_the_id(folder):
    write_jsonl(folder / "deep/edits.jsonl", [ROW, b"", ROW])
    columns = COLUMNS.model_copy(update={"id": ()})
    ids = [edit.id for edit in edits_of(source(folder, columns, name="set"))]
    assert ids == ["set/deep/edits.jsonl:1", "set/deep/edits.jsonl:3"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": "missing.jpg"}, "missing picture"),
        ({"source": ""}, "missing picture"),
        ({"source": 3}, "missing picture"),
        ({"source": "a\0.jpg"}, "missing picture"),
        ({"source": "a" * 5000}, "missing picture"),
        ({"source": "a.jpg/b"}, "missing picture"),
        ({"source": "."}, "missing picture"),
        ({"edited": ["a.jpg", "b.jpg"]}, "missing picture"),
        ({"source": "../outside.jpg"}, "path outside the data set"),
        ({"source": "/etc/hostname"}, "path outside the data set"),
        ({"source": "link.jpg"}, "path outside the data set"),
        ({"instruction": ""}, "missing field"),
        ({"instruction": " \n"}, "missing field"),
        ({"instruction": None}, "missing field"),
        ({"instruction": ["a", "b"]}, "missing field"),
        ({"instruction": "half \ud800"}, "unreadable row"),
        ({"id": ""}, "missing field"),
    ],
)
def test_a_row_that_cannot_be_read_is_left_out_and_the_others_are_not(folder, change, reason):
    (folder.parent / "outside.jpg").write_bytes(b"secret")
    (folder / "link.jpg").symlink_to(folder.parent / "outside.jpg")
    write_jsonl(folder / "edits.jsonl", [ROW | change, ROW | {"id": "two"}])
    rows = everything(source(folder))
    assert [row.id for row in rows if isinstance(row, LabelledEdit)] == ["two"]
    assert [row.reason for row in rows if isinstance(row, Rejected)] == [reason]


@pytest.mark.parametrize("nothing", [None, [], {"bytes": None, "path": None}])
def test_a_row_without_a_source_picture_is_kept_with_or_without_an_instruction(folder, nothing):
    silent = {name: value for name, value in ROW.items() if name not in ("source", "instruction")}
    write_jsonl(folder / "edits.jsonl", [ROW | {"source": nothing}, silent | {"id": "two"}])
    first, second = edits_of(source(folder))
    assert (first.sources, first.edited) == ((), picture("b.jpg"))
    assert (first.instruction, second.instruction) == ("make it red", "")


def test_a_row_without_any_picture_is_left_out(folder):
    columns = COLUMNS.model_copy(update={"edited": ""})
    write_jsonl(folder / "edits.jsonl", [ROW | {"source": None}, ROW | {"id": "two"}])
    assert reasons_of(source(folder, columns)) == [("one", "missing picture")]


def test_a_missing_instruction_is_named_with_the_columns_that_the_row_has(folder):
    write_jsonl(folder / "edits.jsonl", [ROW, {"id": "two", "source": "a.jpg", "edited": "b.jpg"}])
    [rejected] = [row for row in everything(source(folder)) if isinstance(row, Rejected)]
    assert rejected.detail == ("column instruction: is not there; the row has edited, id, source")


@pytest.mark.parametrize(
    "line",
    [b'{"id": "one", ', b"[1, 2]", b"\xff\xfe", b"NaN", b"[" * 100_000, b'{"id": ' + b"9" * 5000],
)
def test_a_line_that_is_no_object_is_left_out(folder, line):
    write_jsonl(folder / "edits.jsonl", [ROW, line, ROW | {"id": "two"}])
    rows = everything(source(folder))
    assert [row.id for row in rows] == ["edits.jsonl:2", "one", "two"]
    assert rows[0].reason == "unreadable row"


def test_a_line_too_long_for_memory_is_left_out(folder, monkeypatch):
    monkeypatch.setattr(json_rows, "MAX_ROW_BYTES", 1_000)
    long = json.dumps(ROW | {"id": "x" * 5_000}).encode()
    write_jsonl(folder / "edits.jsonl", [ROW, long, ROW | {"id": "two"}])
    assert reasons_of(source(folder)) == [("edits.jsonl:2", "unreadable row")]


def test_a_column_that_no_row_has_is_named_with_those_that_there_are(folder):
    write_jsonl(folder / "edits.jsonl", [ROW])
    columns = COLUMNS.model_copy(update={"edited": "target"})
    with pytest.raises(InvalidInputError, match="no column target; there are edited, id, instr"):
        source(folder, columns)


def test_a_folder_without_rows_is_an_error(tmp_path):
    with pytest.raises(InvalidInputError, match="no files"):
        source(tmp_path)
    with pytest.raises(InvalidInputError, match="is no folder"):
        source(tmp_path / "nowhere")


def test_pictures_may_lie_in_a_folder_of_their_own(folder, tmp_path):
    write_jsonl(tmp_path / "rows/edits.jsonl", [ROW])
    assert edits_of(source(tmp_path / "rows", pictures=str(folder)))


def test_conversations_are_reached_by_paths(folder):
    answer = {"edit_region": [{"bbox_2d": [10, 20, 30, 40], "label": "hat"}], "score": [20, 5]}
    row = {
        "images": ["a.jpg", "a.jpg", "b.jpg"],
        "messages": [
            {"content": "Judge.\nInstruction: make it red"},
            {"content": json.dumps(answer)},
        ],
    }
    write_jsonl(folder / "edits.jsonl", [row])
    columns = Columns(
        sources=("images.:-1",),
        edited="images.-1",
        instruction="prompt;messages.0.content",
        instruction_after="Instruction:",
        regions=RegionColumns(
            boxes="messages.-1.content.edit_region", box="bbox_2d", label="label"
        ),
        given={"success": "messages.-1.content.score.0", "nothing": "messages.7.content"},
    )
    [edit] = edits_of(source(folder, columns))
    assert edit.sources == (picture("a.jpg"), picture("a.jpg"))
    assert edit.edited == picture("b.jpg")
    assert edit.instruction == "make it red"
    assert [(box.label, box.bbox_2d) for box in edit.given_regions] == [("hat", (10, 20, 30, 40))]
    assert edit.given == {"success": 20.0}


def test_a_list_of_rows_is_read_one_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(json_rows, "_CHUNK_BYTES", 7)
    rows = [ROW | {"id": f"row {number}", "note": '}{"],[\u00e9'} for number in range(20)]
    (folder / "edits.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    edits = edits_of(source(folder, files="edits.json"))
    assert {edit.id for edit in edits} == {f"row {number}" for number in range(20)}


@pytest.mark.parametrize("rest", ["", ',{"id": "two', " 5]", ",5]", ',{"id": \\}]'])
def test_a_list_that_breaks_gives_its_rows_and_one_reject(folder, rest):
    (folder / "edits.json").write_text("[" + json.dumps(ROW) + rest)
    rows = everything(source(folder, files="edits.json"))
    assert [(row.id, getattr(row, "reason", None)) for row in rows] == [
        ("edits.json:2", "broken file"),
        ("one", None),
    ]


@given(
    lines=st.lists(st.sampled_from(["good", "bad", "blank", "lost"]), max_size=12),
    num_shards=st.integers(1, 20),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_are_disjoint_and_together_everything(folder, lines, num_shards):
    kinds = {"bad": b"{", "blank": b" ", "lost": ROW | {"source": "nothing.jpg"}}
    rows = [kinds.get(kind, ROW | {"id": str(number)}) for number, kind in enumerate(lines)]
    write_jsonl(folder / "one.jsonl", rows[:5])
    write_jsonl(folder / "two.jsonl", rows[5:])
    columns = COLUMNS.model_copy(update={"id": ()})
    opened = source(folder, columns)
    whole = everything(opened)
    assert everything(opened, num_shards) == whole
    assert len({row.id for row in whole}) == len(whole) == len(lines) - lines.count("blank")


def test_a_part_that_there_is_not_is_an_error(folder):
    write_jsonl(folder / "edits.jsonl", [ROW])
    with pytest.raises(InvalidInputError, match=r"shard 2: expected one of 0\.\.1"):
        next(source(folder).rows(2, 2))


def test_the_description_follows_the_data_and_not_its_place(folder, tmp_path):
    write_jsonl(folder / "edits.jsonl", [ROW])
    described = source(folder).describe()
    assert json.loads(json.dumps(described)) == described
    moved = folder.rename(tmp_path / "elsewhere")
    assert source(moved).describe() == described
    write_jsonl(moved / "edits.jsonl", [ROW | {"id": "two"}])
    assert source(moved).describe() != described


@pytest.mark.skipif(not REAL_EDITS.is_dir(), reason="../shared/data/real_edits is not here")
def test_the_real_edits_are_read_with_their_boxes():
    columns = Columns(
        sources=("source",),
        edited="edited",
        instruction="instruction",
        id=("id",),
        regions=RegionColumns(boxes="regions"),
        given=["license"],
    )
    edits = {edit.id: edit for edit in edits_of(source(REAL_EDITS, columns))}
    assert len(edits) == 6
    pendant = edits["girl_pendant"]
    assert [box.bbox_2d for box in pendant.given_regions] == [(440, 415, 560, 565)]
    assert pendant.given == {"license": "Apache-2.0"}
    assert pendant.edited == (REAL_EDITS / "girl_pendant_edited.jpg").read_bytes()
