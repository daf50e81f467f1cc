"""Reads the boxes of a data set, in any of their formats."""

import math
from typing import Any

from spatialreward.data.sources.columns import RegionColumns
from spatialreward.data.sources.interface import Reason, RowError
from spatialreward.data.sources.values import Row, look_up, text_at
from spatialreward.records import BOX_SCALE, EditRegion

# Detectors' boxes often end a fraction of a pixel outside the picture.
_TOLERANCE = 0.01 * BOX_SCALE


def regions_of(row: Row, columns: RegionColumns) -> tuple[EditRegion, ...] | None:
    """The row's boxes, 0..1000 of the edited picture; None if it has none.

    An empty list is different: it states that nothing was edited.

    Raises:
        RowError: a box is not four numbers, has no area, or lies outside the picture.
    """
    boxes = look_up(row, columns.boxes)
    if boxes is None:
        return None
    if not isinstance(boxes, list | tuple):
        raise _invalid(f"expected a list in column {columns.boxes}, got {type(boxes).__name__}")
    scales = _scales(row, columns)
    return tuple(_region(number, item, columns, scales) for number, item in enumerate(boxes))


def _region(
    number: int, item: Any, columns: RegionColumns, scales: tuple[float, float]
) -> EditRegion:
    element = {"element": item}
    path = f"element.{columns.box}" if columns.box else "element"
    x1, y1, x2, y2 = _corners(look_up(element, path), columns)
    label = text_at(element, f"element.{columns.label}") if columns.label else None
    try:
        return EditRegion(
            id=number,
            label=label or "",
            bbox_2d=(
                _coordinate(x1 * scales[0], math.floor),
                _coordinate(y1 * scales[1], math.floor),
                _coordinate(x2 * scales[0], math.ceil),
                _coordinate(y2 * scales[1], math.ceil),
            ),
        )
    except ValueError as error:
        raise _invalid(f"box {number}: {error}") from error


def _corners(box: Any, columns: RegionColumns) -> tuple[float, float, float, float]:
    match box:
        case [int() | float(), int() | float(), int() | float(), int() | float()]:
            a, b, c, d = (float(number) for number in box)
        case _:
            raise _invalid(f"expected four numbers, got {str(box)[:80]}")
    match columns.order:
        case "xyxy":
            return a, b, c, d
        case "xywh":
            return a, b, a + c, b + d
        case "yxyx":
            return b, a, d, c


def _scales(row: Row, columns: RegionColumns) -> tuple[float, float]:
    match columns.unit:
        case "per_mille":
            return 1.0, 1.0
        case "share":
            return float(BOX_SCALE), float(BOX_SCALE)
        case "pixel":
            size = look_up(row, columns.width), look_up(row, columns.height)
            match size:
                case (int() | float() as width, int() | float() as height) if min(size) > 0:
                    return BOX_SCALE / width, BOX_SCALE / height
            raise _invalid(f"expected the picture's width and height in pixels, got {size}")


def _coordinate(value: float, rounded: Any) -> int:
    if not -_TOLERANCE <= value <= BOX_SCALE + _TOLERANCE:
        raise ValueError(f"{value:g} lies outside 0..{BOX_SCALE}")
    # Round to six decimals: 0.57 of 1000 is 570 despite rounding errors of the product.
    return min(max(rounded(round(value, 6)), 0), BOX_SCALE)


def _invalid(detail: str) -> RowError:
    return RowError(Reason.INVALID_REGIONS, detail)
