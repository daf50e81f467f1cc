"""Rows of JSON Lines and of JSON files with one list, streamed."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from spatialreward.data.sources.interface import Reason, RowError
from spatialreward.data.sources.values import Row
from spatialreward.errors import InvalidInputError
from spatialreward.reading import parse_json

MAX_ROW_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20
_BLANKS = re.compile(r"[ \t\r\n]*")


def raw_rows(path: Path) -> Iterator[tuple[int, bytes | Row | RowError]]:
    """Numbers and rows of a file, from 1 on; lines stay bytes, because they may be skipped.

    A ``RowError`` instead of a row gives the reason why it, or the rest of the file, is unreadable.
    """
    with path.open("rb") as file:
        yield from _elements(file) if path.suffix == ".json" else _lines(file)


def row_of(raw: bytes | Row | RowError) -> Row:
    """Parse a row from ``raw_rows``.

    Raises:
        RowError: it is not a row.
    """
    if isinstance(raw, RowError):
        raise raw
    try:
        row = parse_json(raw) if isinstance(raw, bytes) else raw
    except InvalidInputError as error:
        raise RowError(Reason.UNREADABLE_ROW, str(error)) from error
    if not isinstance(row, dict):
        detail = f"expected a JSON object, got {type(row).__name__}"
        raise RowError(Reason.UNREADABLE_ROW, detail)
    return row


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | RowError]]:
    number = 0
    while line := file.readline(MAX_ROW_BYTES):
        number += 1
        if len(line) == MAX_ROW_BYTES and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(_CHUNK_BYTES)
            detail = f"line of more than {MAX_ROW_BYTES:,} bytes"
            yield number, RowError(Reason.UNREADABLE_ROW, detail)
        elif line.strip():
            yield number, line


def _elements(file: BinaryIO) -> Iterator[tuple[int, Any]]:
    number = 1
    try:
        for element in _decoded(file):
            yield number, element
            number += 1
    except (ValueError, RecursionError) as error:
        yield number, RowError(Reason.BROKEN_FILE, f"from element {number} on: {error}")


def _decoded(file: BinaryIO) -> Iterator[Any]:
    """Elements of the one list in a file, streamed."""
    text = _Text(file)
    if text.next_sign() != "[":
        raise ValueError("expected a list of rows")
    text.skip_sign()
    if text.next_sign() == "]":
        return
    while True:
        yield text.element()
        match text.next_sign():
            case ",":
                text.skip_sign()
            case "]":
                return
            case "":
                raise ValueError("the list does not end; the file is cut short")
            case sign:
                raise ValueError(f"expected a comma or the end of the list, got {sign!r}")


class _Text:
    """The text of a file; holds only the unread part."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._position = 0
        self._ended = False

    def next_sign(self) -> str:
        """The next non-blank character; empty at the end."""
        while True:
            self._position = _BLANKS.match(self._text, self._position).end()
            if self._position < len(self._text) or self._ended:
                return self._text[self._position : self._position + 1]
            self._read_on()

    def skip_sign(self) -> None:
        self._position += 1

    def element(self) -> Any:
        sign = self.next_sign()
        if sign != "{":
            what = repr(sign) if sign else "the end of the file"
            raise ValueError(f"expected an object, got {what}")
        while True:
            try:
                value, self._position = self._json.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                # An incomplete object looks like an invalid one.
                if self._ended or len(self._text) - self._position > MAX_ROW_BYTES:
                    raise ValueError(f"invalid JSON: {error.msg}") from error
                self._read_on()
            else:
                return value

    def _read_on(self) -> None:
        rest = self._text[self._position :]
        # Double the size each time, to limit repeated decoding of a long object.
        data = self._file.read(max(_CHUNK_BYTES, len(rest)))
        self._ended = not data
        self._text = rest + self._decoder.decode(data, final=self._ended)
        self._position = 0
