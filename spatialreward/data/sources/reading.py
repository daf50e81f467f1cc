"""Makes edits of a row by the mapping of its columns; what all sources share."""

from collections.abc import Iterator

from spatialreward.data.edits import RawEdit, Rejected, RowOrigin
from spatialreward.data.sources.columns import Columns
from spatialreward.data.sources.interface import Reason, RowError, rejected
from spatialreward.data.sources.pictures import PictureFolder, pictures_of
from spatialreward.data.sources.regions import regions_of
from spatialreward.data.sources.values import Row, look_up, text_at, value_at


class RowReader:
    """Reads the edits of rows, one after the other."""

    def __init__(
        self, columns: tuple[Columns, ...], *, name: str = "", pictures: PictureFolder | None = None
    ) -> None:
        """Prepare to read rows.

        Args:
            columns: how to read one edit from a row, or several.
            name: begins every id, to tell data sets apart.
            pictures: where the paths of pictures lead to; None if pictures lie in the rows.
        """
        self._columns = columns
        self._name = name
        self._pictures = pictures

    def edits(self, row: Row, origin: RowOrigin) -> Iterator[RawEdit | Rejected]:
        """Every edit in a row, or why it cannot be read."""
        for columns in self._columns:
            yield from self._edits(row, columns, origin)

    def unreadable(self, reason: Reason, detail: str, origin: RowOrigin) -> Rejected:
        """A row, or the rest of a file, of which nothing could be read."""
        return rejected(self._key(f"{origin.file}:{origin.row}"), reason, detail, origin)

    def _edits(self, row: Row, columns: Columns, origin: RowOrigin) -> Iterator[RawEdit | Rejected]:
        if not columns.each:
            yield self._edit(row, columns, origin, "")
            return
        try:
            inner = look_up(row, columns.each)
            if not isinstance(inner, list | tuple) or not inner:
                detail = f"column {columns.each}: expected a list of rows, got {inner!r:.80}"
                raise RowError(Reason.MISSING_FIELD, detail)
        except RowError as error:
            yield self._reject(error, f"{origin.file}:{origin.row}", columns, origin, "")
            return
        for number, fields in enumerate(inner):
            # A row within the row that is no mapping has nothing of its own.
            own = fields if isinstance(fields, dict) else {}
            yield self._edit(row | own, columns, origin, str(number))

    def _edit(
        self, row: Row, columns: Columns, origin: RowOrigin, number: str
    ) -> RawEdit | Rejected:
        row_id = f"{origin.file}:{origin.row}"
        try:
            if columns.id:
                row_id = "-".join(_required_text(row, path) for path in columns.id)
            return RawEdit(
                id=self._key(row_id, number, columns.part),
                instruction=_instruction(row, columns),
                sources=self._sources(row, columns),
                edited=self._edited(row, columns),
                operation=(columns.operation and text_at(row, columns.operation)) or "",
                regions=regions_of(row, columns.regions) if columns.regions else None,
                given=_given(row, columns),
                license=(columns.license and text_at(row, columns.license)) or "",
                origin=origin,
            )
        except RowError as error:
            return self._reject(error, row_id, columns, origin, number)

    def _key(self, *parts: str) -> str:
        return "/".join(part for part in (self._name, *parts) if part)

    def _reject(
        self, error: RowError, row_id: str, columns: Columns, origin: RowOrigin, number: str
    ) -> Rejected:
        key = self._key(row_id, number, columns.part)
        return rejected(key, error.reason, error.detail, origin)

    def _sources(self, row: Row, columns: Columns) -> tuple[bytes, ...]:
        sources = tuple(
            picture
            for path in columns.sources
            for picture in pictures_of(look_up(row, path), path, self._pictures)
        )
        if not sources:
            raise RowError(
                Reason.MISSING_PICTURE, f"column {columns.sources[0]}: no source picture in it"
            )
        return sources

    def _edited(self, row: Row, columns: Columns) -> bytes | None:
        if not columns.edited:
            return None
        pictures = pictures_of(look_up(row, columns.edited), columns.edited, self._pictures)
        if len(pictures) != 1:
            raise RowError(
                Reason.MISSING_PICTURE,
                f"column {columns.edited}: expected one edited picture, got {len(pictures)}",
            )
        return pictures[0]


def _required_text(row: Row, path: str) -> str:
    text = text_at(row, path)
    if text is None or not text.strip():
        raise RowError(
            Reason.MISSING_FIELD, f"column {path}: {'is not there' if text is None else 'is empty'}"
        )
    return text


def _instruction(row: Row, columns: Columns) -> str:
    text = _required_text(row, columns.instruction)
    if not columns.instruction_after:
        return text
    _, found, instruction = text.rpartition(columns.instruction_after)
    if not found or not instruction.strip():
        raise RowError(
            Reason.MISSING_FIELD,
            f"column {columns.instruction}: nothing follows {columns.instruction_after!r}",
        )
    return instruction.strip()


def _given(row: Row, columns: Columns) -> dict[str, float | str]:
    values = {name: value_at(row, path) for name, path in columns.given.items()}
    return {name: value for name, value in values.items() if value is not None}
