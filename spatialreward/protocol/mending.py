"""Repairs frequent formal errors in answers, each named and counted; never changes a score.

Each function returns the repaired value and adds the name of the repair. The parser decides
whether that repair was allowed.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from spatialreward.errors import InvalidInputError, JudgementError
from spatialreward.reading import first_json
from spatialreward.records import BOX_SCALE, Mending

Mended = set[Mending]

_REFERENCE = re.compile(r"<\|bbox_([0-9]+)\|>[ ]?")
# Also match an unterminated string: searching for the end from each quote would be quadratic.
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"?|,(?=\s*[\]}])', re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,6})?")
_COORDINATE = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")


def read_object(text: str, mended: Mended) -> Any:
    """Parse a JSON text, allowing trailing commas and control characters in strings.

    Raises:
        InvalidInputError: it is not JSON even after repair; the reason is that of the original
            text.
        JudgementError: a key has two values, so its meaning is unclear.
    """
    try:
        return _unambiguous(text, strict=True)
    except InvalidInputError as strictly:
        for without_commas in (False, True):
            candidate = _without_trailing_commas(text) if without_commas else text
            try:
                value = _unambiguous(candidate, strict=False)
            except InvalidInputError:
                continue
            if without_commas:
                mended.add(Mending.TRAILING_COMMA)
            if any(character < " " for one in _strings(candidate) for character in one):
                mended.add(Mending.CONTROL_CHARACTER)
            return value
        raise strictly


def known_keys(value: Mapping[str, Any], keys: Sequence[str], mended: Mended) -> dict[str, Any]:
    """Drop the keys that the form does not have."""
    if value.keys() - set(keys):
        mended.add(Mending.UNKNOWN_KEY)
    return {key: value[key] for key in keys if key in value}


def unquoted_score(score: Any, mended: Mended) -> Any:
    """Convert a score that was written as text to its number."""
    if isinstance(score, str) and _NUMBER.fullmatch(score.strip()):
        mended.add(Mending.QUOTED_NUMBER)
        return float(score)
    return score


def unquoted_number(value: Any, mended: Mended) -> Any:
    """Convert a region's id or coordinate that was written as text to its number."""
    if isinstance(value, str) and _COORDINATE.fullmatch(value.strip()):
        mended.add(Mending.QUOTED_NUMBER)
        return float(value) if "." in value else int(value)
    return value


def mended_box(box: Any, mended: Mended) -> Any:
    """Round and clip a box to whole numbers within 0..1000; return anything else unchanged."""
    if isinstance(box, list):
        box = [unquoted_number(one, mended) for one in box]
    if not isinstance(box, list) or not all(map(_is_number, box)):
        return box
    clipped = [min(max(one, 0), BOX_SCALE) for one in box]
    whole = [round(one) for one in clipped]
    if clipped != box:
        mended.add(Mending.CLIPPED_BOX)
    if whole != clipped:
        mended.add(Mending.FRACTIONAL_BOX)
    return whole


def has_area(box: Any) -> bool:
    """False for a box of four numbers without area."""
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        return True
    left, top, right, bottom = box
    return left < right and top < bottom


def numbered(regions: Sequence[dict[str, Any]], mended: Mended) -> list[dict[str, Any]]:
    """Renumber regions by their order if two have the same id."""
    ids = [region["id"] for region in regions if _is_number(region.get("id"))]
    if len(set(ids)) == len(ids):
        return list(regions)
    mended.add(Mending.REPEATED_REGION_ID)
    return [region | {"id": number} for number, region in enumerate(regions)]


def without_unknown_references(reasoning: str, known: set[int], mended: Mended) -> str:
    """Drop references to unknown regions from a reasoning."""
    names = {str(number) for number in known}

    def kept(match: re.Match[str]) -> str:
        if (match[1].lstrip("0") or "0") in names:
            return match[0]
        mended.add(Mending.UNKNOWN_REGION)
        return ""

    return _REFERENCE.sub(kept, reasoning)


def _is_number(value: Any) -> bool:
    match value:
        case bool():
            return False
        case int():
            return True
        case _:
            return isinstance(value, float) and math.isfinite(value)


def _unambiguous(text: str, *, strict: bool) -> Any:
    """The first JSON value of a text; refuses keys with two different values."""
    repeated: list[str] = []

    def read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            repeated.extend(key for key, value in pairs if values[key] != value)
        return values

    value = first_json(text, decoder=json.JSONDecoder(strict=strict, object_pairs_hook=read_pairs))
    if repeated:
        raise JudgementError(f"{repeated[0][:40]!r} stands there twice, with two values")
    return value


def _without_trailing_commas(text: str) -> str:
    return _STRING_OR_COMMA.sub(lambda match: "" if match[0] == "," else match[0], text)


def _strings(text: str) -> list[str]:
    return [one for one in _STRING_OR_COMMA.findall(text) if one != ","]
