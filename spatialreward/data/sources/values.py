"""Takes values out of a row by the path of a column."""

import json
import re
from typing import Any

from spatialreward.data.sources.columns import alternatives
from spatialreward.data.sources.interface import Reason, RowError
from spatialreward.errors import InvalidInputError
from spatialreward.reading import parse_json

Row = dict[str, Any]

_INDEX = re.compile(r"-?\d+")
_SLICE = re.compile(r"(-?\d*):(-?\d*)")


def look_up(row: Row, path: str) -> Any:
    """The value of a row at ``path``; None if there is none.

    Raises:
        RowError: the path continues into a text that is not JSON.
    """
    for one in alternatives(path):
        try:
            found = _descend(row, one)
        except InvalidInputError as error:
            raise RowError(Reason.UNREADABLE_ROW, f"column {one}: {error}") from error
        if found is not None:
            return found
    return None


def text_at(row: Row, path: str) -> str | None:
    """The text, or the number as text, at ``path``; None if there is none.

    Raises:
        RowError: it holds something else, or text outside UTF-8.
    """
    match look_up(row, path):
        case None:
            return None
        case str() | bytes() as text:
            return _sound(text, path)
        case bool(flag):
            return "true" if flag else "false"
        case int() | float() as number:
            return str(number)
        case other:
            raise RowError(
                Reason.MISSING_FIELD, f"column {path}: expected text, got {type(other).__name__}"
            )


def value_at(row: Row, path: str) -> float | str | None:
    """The value at ``path`` for keeping: a number, a text, or a structure as JSON.

    None if there is none, or the number is not finite.

    Raises:
        RowError: it has text outside UTF-8.
    """
    match look_up(row, path):
        case bool() | bytes() | str():
            return text_at(row, path)
        case int() | float() as number:
            return float(number) if abs(number) <= 1e300 else None
        case dict() | list() as structure:
            text = json.dumps(structure, ensure_ascii=False, default=_not_kept)
            return _sound(text, path)
        case None:
            return None
        case other:
            return _sound(str(other), path)


def _descend(value: Any, path: str) -> Any:
    if not path:
        return value
    match value:
        case str() | bytes():
            return _descend(parse_json(value), path)
        case dict():
            return _from_mapping(value, path)
        case list() | tuple():
            return _from_list(value, path)
    return None


def _from_mapping(value: Row, path: str) -> Any:
    if path in value:
        return value[path]
    # The longest name first: a column may have dots in its name, as `source.jpg` in a tar.
    end = path.rfind(".")
    while end > 0:
        if path[:end] in value:
            return _descend(value[path[:end]], path[end + 1 :])
        end = path.rfind(".", 0, end)
    return None


def _from_list(value: list[Any] | tuple[Any, ...], path: str) -> Any:
    head, _, rest = path.partition(".")
    if _INDEX.fullmatch(head):
        index = int(head)
        return _descend(value[index], rest) if -len(value) <= index < len(value) else None
    if match := _SLICE.fullmatch(head):
        start, stop = (int(bound) if bound else None for bound in match.groups())
        return [_descend(one, rest) for one in value[start:stop]]
    return None


def _not_kept(value: Any) -> str:
    return f"<{type(value).__name__}>"


def _sound(text: str | bytes, path: str) -> str:
    try:
        if isinstance(text, bytes):
            return text.decode("utf-8-sig")
        # JSON can spell half a surrogate pair, which files and servers refuse.
        text.encode("utf-8")
    except UnicodeError as error:
        detail = f"column {path}: text that is not UTF-8: {error}"
        raise RowError(Reason.UNREADABLE_ROW, detail) from error
    return text
