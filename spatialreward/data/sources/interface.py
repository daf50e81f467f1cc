"""What every source of edits gives, and the few reasons why a row is left out."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Protocol

from spatialreward.data.edits import Rejected, RowOrigin, SourceRow


class Reason(StrEnum):
    """Why a source leaves a row out; few, so that they can be counted."""

    MISSING_PICTURE = "missing picture"
    MISSING_FIELD = "missing field"
    UNREADABLE_ROW = "unreadable row"
    """No JSON, no text, or not a row at all."""
    INVALID_REGIONS = "invalid regions"
    INVALID_RANKING = "invalid ranking"
    PATH_OUTSIDE = "path outside the data set"
    BROKEN_FILE = "broken file"
    """The rest of a file, in one reject: nobody knows how many rows that is."""


class EditSource(Protocol):
    """A data set of edits that can be read in parts."""

    def rows(self, shard: int, num_shards: int) -> Iterator[SourceRow]:
        """The rows of part ``shard`` of ``num_shards``, each with its pictures' bytes untouched.

        A row gives an edit, several of them, a ranking, or both.

        The parts are disjoint, always the same, and together the whole data set, each row once.
        Memory does not grow with the data set. A row that cannot be read is a ``Rejected``, and so
        is, once, the rest of a file that breaks half-way.

        Raises:
            InvalidInputError: ``shard`` is not in ``0..num_shards - 1``.
            OSError: the storage or the network went away, which says nothing about the data.
        """
        ...

    def num_rows(self, at_most: int) -> int:
        """How many rows there are, counted up to ``at_most`` and without their pictures.

        ``at_most`` also where only reading them tells, as behind a broken place.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What is read, in values that JSON knows: files, sizes and fingerprints, and the mapping.

        Equal for equal data and settings, wherever the files lie, so that its digest can be a
        cache's key.
        """
        ...


class RowError(Exception):
    """One row cannot be used; sources turn it into a ``Rejected``."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Remember why, as one of the few reasons and in detail."""
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def rejected(key: str, reason: Reason, detail: str, origin: RowOrigin) -> Rejected:
    """A row that is left out; characters that no text file can hold are written as escapes."""
    return Rejected(id=writable(key), reason=reason.value, detail=writable(detail), origin=origin)


def writable(text: str) -> str:
    """The text with escapes for what UTF-8 cannot hold, as half a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
