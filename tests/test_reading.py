"""One reader for text, JSON and TOML that others wrote, with one error."""

import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spatialreward.errors import InvalidInputError
from spatialreward.reading import decode_text, first_json, parse_json, read_text, read_toml_file

DIGITS = "9" * 5_000
DEEP = "[" * 100_000
MARK = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(MARK + "naïve\r\nzwei".encode())
    assert read_text(path) == "naïve\nzwei"
    assert parse_json(MARK + b"[1]") == parse_json("\ufeff[1]") == [1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value: line 1 column 1"),
        ('{"a": }', "Expecting value: line 1 column 7"),
        (f'{{"a": {DIGITS}}}', "it holds a number of more than 4,300 digits"),
        (f'{{"a": -{DIGITS}}}', "it holds a number of more than 4,300 digits"),
        (DEEP, "it is nested too deeply"),
    ],
)
def test_text_that_is_no_json_is_one_kind_of_error(text, reason):
    for read in (parse_json, first_json):
        with pytest.raises(InvalidInputError, match=f"^is not JSON: {reason}"):
            read(text)


def test_a_number_as_long_as_python_reads_is_read():
    assert parse_json("9" * 4_300) == int("9" * 4_300)


def test_what_follows_the_first_value_is_not_looked_at():
    assert first_json('{"a": 1} and ' + DIGITS) == {"a": 1}


def test_bytes_that_are_no_utf_8_are_named():
    with pytest.raises(InvalidInputError, match=r"^is not UTF-8 text \(byte 3\)"):
        decode_text(b"ab\xff")
    with pytest.raises(InvalidInputError, match="is not UTF-8 text"):
        parse_json(b"\xff\xfe[\x001\x00]\x00")


@given(st.text() | st.binary())
@example("\ud83e")
@example("1" + "0" * 5_000)
def test_whatever_comes_is_a_value_or_that_error(text):
    with suppress(InvalidInputError):
        json.dumps(parse_json(text))


def test_a_toml_file_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "file.toml"
    path.write_bytes(MARK + b"a = 1\r\nb = 2\r\n")
    assert read_toml_file(path) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a = ", "Invalid value"),
        (b"a = \xff", "is not UTF-8 text"),
        (f"a = {DIGITS}".encode(), "is not TOML: it holds a number of more than 4,300 digits"),
        (f"a = {DEEP}".encode(), "is not TOML: it is nested too deeply"),
    ],
)
def test_a_toml_file_that_cannot_be_read_is_named(tmp_path, data, reason):
    path = tmp_path / "file.toml"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=rf"file\.toml: {reason}"):
        read_toml_file(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no\.toml: No such file or directory"):
        read_toml_file(tmp_path / "no.toml")
