"""Converts a row with a preference between several edited pictures to a ranking."""

from typing import Any

from spatialreward.data.edits import RankedPicture, Ranking, RowOrigin
from spatialreward.data.sources.columns import RankingColumns
from spatialreward.data.sources.interface import Reason, RowError, writable
from spatialreward.data.sources.pictures import PictureFolder, pictures_of
from spatialreward.data.sources.values import Row, look_up, text_at


def ranking_of(
    row: Row, columns: RankingColumns, id: str, origin: RowOrigin, folder: PictureFolder | None
) -> Ranking:
    """The ranking in a row.

    Args:
        row: in the source's form.
        columns: the mapping.
        id: of the ranking.
        origin: of the row.
        folder: root of picture paths; None if pictures are in the rows.

    Raises:
        RowError: a picture is missing, or the row has no order.
    """
    sources = _pictures(row, columns.sources, folder)
    edited = _pictures(row, columns.edited, folder)
    if not sources or len(edited) < 2:
        counted = f"{len(sources)} source and {len(edited)} edited pictures"
        raise RowError(
            Reason.MISSING_PICTURE, f"expected a source and two or more edited, got {counted}"
        )
    instruction = text_at(row, columns.instruction) or ""
    if not instruction.strip():
        raise RowError(Reason.MISSING_FIELD, f"column {columns.instruction}: is empty")
    names = _texts(row, columns.names, len(edited))
    editors = _texts(row, columns.editors, len(edited))
    try:
        return Ranking(
            id=id,
            instruction=instruction,
            sources=sources,
            edits=tuple(
                RankedPicture(
                    id=names[number] if names else str(number),
                    edited=picture,
                    editor=editors[number] if editors else "",
                )
                for number, picture in enumerate(edited)
            ),
            orders=_orders(row, columns, len(edited)),
            operation=(columns.operation and text_at(row, columns.operation)) or "",
            license=(columns.license and text_at(row, columns.license)) or "",
            origin=origin,
        )
    except ValueError as error:
        raise RowError(Reason.INVALID_RANKING, str(error)) from error


def _pictures(row: Row, paths: tuple[str, ...], folder: PictureFolder | None) -> tuple[bytes, ...]:
    return tuple(
        picture for path in paths for picture in pictures_of(look_up(row, path), path, folder)
    )


def _orders(row: Row, columns: RankingColumns, count: int) -> dict[str, tuple[int, ...]]:
    if columns.best_first:
        dimension = text_at(row, columns.best_first)
        if dimension is None or not dimension.strip():
            raise RowError(Reason.MISSING_FIELD, f"column {columns.best_first}: is empty")
        return {dimension.strip(): tuple(range(count))}
    orders = {}
    for dimension, paths in columns.scores.items():
        values = _listed(row, paths)
        if any(value is None or value != value for value in values):
            continue
        if len(values) != count or not all(_is_number(value) for value in values):
            raise RowError(
                Reason.INVALID_RANKING,
                f"columns {', '.join(paths)}: expected {count} scores, got {values!r:.80}",
            )
        best_first = sorted(set(values), reverse=True)
        orders[dimension] = tuple(best_first.index(value) for value in values)
    if not orders:
        raise RowError(Reason.INVALID_RANKING, "it has scores in no dimension")
    return orders


def _texts(row: Row, paths: tuple[str, ...], count: int) -> list[str]:
    """One text per picture; empty without columns."""
    values = _listed(row, paths)
    are_texts = all(isinstance(one, str) and writable(one) == one for one in values)
    if values and (len(values) != count or not are_texts):
        raise RowError(
            Reason.MISSING_FIELD,
            f"columns {', '.join(paths)}: expected {count} texts, got {values!r:.80}",
        )
    return values


def _listed(row: Row, paths: tuple[str, ...]) -> list[Any]:
    """The values of the columns; flattens lists."""
    found: list[Any] = []
    for path in paths:
        value = look_up(row, path)
        found += value if isinstance(value, list | tuple) else [value]
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
