"""Converts rows to edits by the mapping of columns, for all sources."""

from collections.abc import Iterator

from spatialreward.data.edits import (
    LabelledEdit,
    Ranking,
    Rejected,
    RowOrigin,
    SourceRow,
)
from spatialreward.data.sources.columns import AnyColumns, Columns, RankingColumns
from spatialreward.data.sources.interface import Reason, RowError, rejected
from spatialreward.data.sources.labels import LabelError, label_of, spoken_at
from spatialreward.data.sources.pictures import PictureFolder, holds_nothing, pictures_of
from spatialreward.data.sources.rankings import ranking_of
from spatialreward.data.sources.regions import regions_of
from spatialreward.data.sources.values import Row, look_up, text_at, value_at
from spatialreward.records import Judgement

# Placeholder of a picture in the question of a ShareGPT conversation.
_IMAGE_MARK = "<image>"
RANKING = "ranking"
"""Suffix of a ranking's id, to distinguish it from the edits of its row."""


class RowReader:
    """Reads the edits and rankings of rows in sequence."""

    def __init__(
        self,
        columns: tuple[AnyColumns, ...],
        *,
        name: str = "",
        pictures: PictureFolder | None = None,
    ) -> None:
        """Configure.

        Args:
            columns: the mapping of one edit or several, and of a ranking.
            name: prefix of every id, to distinguish data sets.
            pictures: root of picture paths; None if pictures are in the rows.
        """
        self._columns = columns
        self._name = name
        self._pictures = pictures

    def edits(self, row: Row, origin: RowOrigin) -> Iterator[SourceRow]:
        """Every edit and ranking in a row, or why it is unreadable."""
        for columns in self._columns:
            if isinstance(columns, RankingColumns):
                yield self._ranking(row, columns, origin)
            else:
                yield from self._edits(row, columns, origin)

    def unreadable(self, reason: Reason, detail: str, origin: RowOrigin) -> Rejected:
        """A reject for an unreadable row, or for the rest of a file."""
        return rejected(self._key(f"{origin.file}:{origin.row}"), reason, detail, origin)

    def _edits(
        self, row: Row, columns: Columns, origin: RowOrigin
    ) -> Iterator[LabelledEdit | Rejected]:
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
            # An inner row that is no mapping has no fields.
            own = fields if isinstance(fields, dict) else {}
            yield self._edit(row | own, columns, origin, str(number))

    def _edit(
        self, row: Row, columns: Columns, origin: RowOrigin, number: str
    ) -> LabelledEdit | Rejected:
        row_id = f"{origin.file}:{origin.row}"
        try:
            if columns.id:
                row_id = "-".join(_required_text(row, path) for path in columns.id)
            sources, edited = self._pictures_of(row, columns)
            label, lost_label = self._label(row, columns, sources, edited)
            return LabelledEdit(
                id=self._key(row_id, number, columns.part),
                instruction=_instruction(row, columns, is_needed=bool(sources)),
                sources=sources,
                edited=edited,
                operation=(columns.operation and text_at(row, columns.operation)) or "",
                editor=(columns.editor and text_at(row, columns.editor)) or "",
                given_regions=regions_of(row, columns.regions) if columns.regions else None,
                given=_given(row, columns),
                license=(columns.license and text_at(row, columns.license)) or "",
                label=label,
                lost_label=lost_label,
                origin=origin,
            )
        except RowError as error:
            return self._reject(error, row_id, columns, origin, number)

    def _ranking(self, row: Row, columns: RankingColumns, origin: RowOrigin) -> Ranking | Rejected:
        row_id = f"{origin.file}:{origin.row}"
        try:
            if columns.id:
                row_id = "-".join(_required_text(row, path) for path in columns.id)
            key = self._key(row_id, RANKING)
            return ranking_of(row, columns, key, origin, self._pictures)
        except RowError as error:
            found = rejected(self._key(row_id, RANKING), error.reason, error.detail, origin)
            return found.model_copy(update={"kind": "ranking"})

    def _key(self, *parts: str) -> str:
        return "/".join(part for part in (self._name, *parts) if part)

    def _reject(
        self, error: RowError, row_id: str, columns: Columns, origin: RowOrigin, number: str
    ) -> Rejected:
        key = self._key(row_id, number, columns.part)
        return rejected(key, error.reason, error.detail, origin)

    def _pictures_of(self, row: Row, columns: Columns) -> tuple[tuple[bytes, ...], bytes | None]:
        """Sources and edited picture; one of the two may be missing, but not both."""
        if columns.pictures:
            pictures = self._all_in(row, columns.pictures)
            sources, edited = pictures[:-1], pictures[-1] if pictures else None
        else:
            paths = columns.sources
            sources = tuple(picture for path in paths for picture in self._all_in(row, path))
            edited = self._edited(row, columns)
        if edited is None and not sources:
            where = columns.pictures or ", ".join(columns.sources)
            raise RowError(Reason.MISSING_PICTURE, f"column {where}: no picture in it")
        return sources, edited

    def _all_in(self, row: Row, path: str) -> tuple[bytes, ...]:
        value = look_up(row, path)
        return () if holds_nothing(value) else pictures_of(value, path, self._pictures)

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

    def _label(
        self, row: Row, columns: Columns, sources: tuple[bytes, ...], edited: bytes | None
    ) -> tuple[Judgement | None, str]:
        """A row's label, or why it is unusable."""
        if columns.answers is None:
            return None, ""
        try:
            label = label_of(
                row,
                columns.answers,
                has_source=bool(sources),
                has_edited=edited is not None,
                asks_for_edit=bool(columns.instruction_after),
                by=self._name or "the data set",
            )
        except LabelError as error:
            return None, str(error)
        return label, ""


def _required_text(row: Row, path: str) -> str:
    text = text_at(row, path)
    if text is None or not text.strip():
        raise RowError(Reason.MISSING_FIELD, f"column {path}: {_what_is_missing(row, text)}")
    return text


def _instruction(row: Row, columns: Columns, *, is_needed: bool) -> str:
    """The instruction; empty if it is missing and not needed.

    Raises:
        RowError: it is needed but missing.
    """
    path, mark = columns.instruction, columns.instruction_after
    text = spoken_at(row, path) if path else None
    instruction = text or ""
    if mark:
        _, found, rest = instruction.rpartition(mark)
        instruction = rest.replace(_IMAGE_MARK, "").strip() if found else ""
    if instruction.strip():
        return instruction
    if is_needed:
        has_question = bool(mark and text and text.strip())
        why = f"nothing follows {mark!r}" if has_question else _what_is_missing(row, text)
        raise RowError(Reason.MISSING_FIELD, f"column {path}: {why}")
    return ""


def _what_is_missing(row: Row, text: str | None) -> str:
    if text is None:
        return f"is not there; the row has {', '.join(sorted(map(str, row)))}"
    return "is empty"


def _given(row: Row, columns: Columns) -> dict[str, float | str]:
    values = {name: value_at(row, path) for name, path in columns.given.items()}
    return {name: value for name, value in values.items() if value is not None}
