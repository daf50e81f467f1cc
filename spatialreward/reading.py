"""Reads text from users and models: files with or without a byte order mark, JSON and TOML.

Python's own readers raise several errors for malformed text, among them plain ``ValueError`` for a
number of more than 4,300 digits and ``RecursionError`` for deep nesting. Here there is one type.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from spatialreward.errors import InvalidInputError

_DECODER = json.JSONDecoder()


def read_text(path: Path) -> str:
    """The text of a user's UTF-8 file, without the byte order mark that some editors add.

    Raises:
        InvalidInputError: the file is unreadable or not UTF-8; the message does not name it.
    """
    try:
        return decode_text(path.read_bytes())
    except OSError as error:
        raise InvalidInputError(error.strerror or str(error)) from error


def decode_text(data: bytes) -> str:
    """Decode UTF-8, without a byte order mark and with uniform line breaks.

    Raises:
        InvalidInputError: it is not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"is not UTF-8 text (byte {error.start + 1})") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, which may begin with a byte order mark.

    Raises:
        InvalidInputError: it is not JSON, or exceeds a limit of the parser.
    """
    if isinstance(text, bytes):
        text = decode_text(text)
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from error


def first_json(text: str, decoder: json.JSONDecoder = _DECODER) -> Any:
    """The JSON value at the start of a text; the rest is ignored.

    Raises:
        InvalidInputError: there is none, or it exceeds a limit of the parser.
    """
    try:
        value, _ = decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from error
    return value


def read_toml_file(path: Path) -> dict[str, Any]:
    """The table in a user's TOML file.

    Raises:
        InvalidInputError: the file is unreadable or not TOML; names it.
    """
    try:
        return tomllib.loads(read_text(path))
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path}: is not TOML: {_beyond_limits(error)}") from error


def _not_json(error: ValueError | RecursionError) -> InvalidInputError:
    is_malformed = isinstance(error, json.JSONDecodeError)
    return InvalidInputError(f"is not JSON: {error if is_malformed else _beyond_limits(error)}")


def _beyond_limits(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it holds a number of more than 4,300 digits"
