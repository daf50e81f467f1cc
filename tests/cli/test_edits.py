import json

import pytest

from spatialreward.cli.edits import read_requests
from spatialreward.errors import InvalidInputError

LINE = {"id": "a", "source": "s.png", "edited": "e.png", "instruction": "add a dog"}


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_pictures_are_looked_for_beside_the_file(tmp_path):
    file = write(tmp_path / "edits.jsonl", json.dumps(LINE), "", json.dumps(LINE | {"id": "b"}))
    first, second = read_requests(file)
    assert (first.source, first.edited) == (tmp_path / "s.png", tmp_path / "e.png")
    assert (first.id, second.id) == ("a", "b")


def test_absolute_paths_and_other_fields_are_fine(tmp_path):
    line = LINE | {"source": "/pictures/s.png", "license": "Apache-2.0", "regions": [[1, 2, 3, 4]]}
    (request,) = read_requests(write(tmp_path / "edits.jsonl", json.dumps(line)))
    assert str(request.source) == "/pictures/s.png"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "holds no edits"),
        (["{"], "line 1: is not JSON"),
        (["[1]"], "line 1: Input should be a table of keys and values"),
        ([json.dumps(LINE), json.dumps({**LINE, "id": 3})], "line 2: id: Input should be a valid"),
        ([json.dumps({"id": "a"})], "line 1: source: Field required"),
        ([json.dumps(LINE), json.dumps(LINE)], "line 2: id 'a' appears twice"),
        ([json.dumps({**LINE, "id": "../a"})], "line 1: id: String should match"),
        ([json.dumps({**LINE, "id": "a\n"})], "line 1: id: String should match"),
        (["[" * 100_000], "line 1: is not JSON: it is nested too deeply"),
        (['{"score": ' + "9" * 5_000 + "}"], "line 1: is not JSON: it holds a number of more than"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, lines, reason):
    with pytest.raises(InvalidInputError, match=rf"edits .*\.jsonl.*{reason}"):
        read_requests(write(tmp_path / "edits.jsonl", *lines))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"edits .*no\.jsonl: No such file"):
        read_requests(tmp_path / "no.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="is not UTF-8 text"):
        read_requests(tmp_path / "latin.jsonl")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "edits.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(LINE).encode() + b"\r\n")
    assert [request.id for request in read_requests(file)] == ["a"]


def test_numbers_that_do_not_concern_a_judge_may_be_anything_that_is_json(tmp_path):
    line = json.dumps(LINE)[:-1] + ', "score": 1e999, "prior": NaN}'
    assert read_requests(write(tmp_path / "edits.jsonl", line))[0].id == "a"
