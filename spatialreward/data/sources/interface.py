"""The interface of edit sources, and their reasons for dropping rows."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Protocol

from spatialreward.data.edits import Rejected, RowOrigin, SourceRow


class Reason(StrEnum):
    """Why a source drops a row; a short list, for counting."""

    MISSING_PICTURE = "missing picture"
    MISSING_FIELD = "missing field"
    UNREADABLE_ROW = "unreadable row"
    """Not JSON, not text, or not a row."""
    INVALID_REGIONS = "invalid regions"
    INVALID_RANKING = "invalid ranking"
    PATH_OUTSIDE = "path outside the data set"
    BROKEN_FILE = "broken file"
    """The rest of a file as one reject, because its number of rows is unknown."""


class EditSource(Protocol):
    """A data set of edits, readable in parts."""

    def rows(self, shard: int, num_shards: int) -> Iterator[SourceRow]:
        """The rows of part ``shard`` of ``num_shards``, each with its pictures' original bytes.

        A row gives an edit, several of them, a ranking, or both.

        The parts are disjoint, deterministic, and together the whole data set. Memory does not grow
        with the data set. An unreadable row is a ``Rejected``, and so is, once, the rest of a file
        that breaks half-way.

        Raises:
            InvalidInputError: ``shard`` is not in ``0..num_shards - 1``.
            OSError: the storage or the network failed, independent of the data.
        """
        ...

    def num_rows(self, at_most: int) -> int:
        """Number of rows, counted up to ``at_most`` and without reading pictures.

        ``at_most`` also where counting requires reading, as behind a broken place.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Identity of the data, as JSON: files, sizes and fingerprints, and the mapping.

        Equal for equal data and settings, independent of the location, so that its digest can be a
        cache key.
        """
        ...


class RowError(Exception):
    """One row is unusable; sources turn it into a ``Rejected``."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Store the reason and its detail."""
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def rejected(key: str, reason: Reason, detail: str, origin: RowOrigin) -> Rejected:
    """A dropped row; escapes characters that text files cannot hold."""
    return Rejected(id=writable(key), reason=reason.value, detail=writable(detail), origin=origin)


def writable(text: str) -> str:
    """Escape what UTF-8 cannot hold, such as half a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
