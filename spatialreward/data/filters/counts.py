"""Counts of rows seen, kept and dropped, by reason; counts of shards add up to the total."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

from pydantic import NonNegativeInt, model_validator

from spatialreward.data.filters.reasons import CHOICES
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

_REASONS_IN_AN_ERROR = 3


class FilterCounts(Record):
    """Counts for the rows of a shard, or of a data set."""

    seen: NonNegativeInt = 0
    kept: NonNegativeInt = 0
    left_out: dict[str, NonNegativeInt] = {}  # noqa: RUF012 - pydantic copies it, and it is frozen
    """Dropped rows by reason; each row has one."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.seen != self.kept + sum(self.left_out.values()):
            raise ValueError(
                f"{self.seen} rows seen are not {self.kept} kept and "
                f"{sum(self.left_out.values())} left out"
            )
        return self

    @classmethod
    def of(cls, kept: int, reasons: Iterable[str]) -> Self:
        """Counts from the number of kept rows, and one reason for each dropped one."""
        left_out = {str(reason): count for reason, count in Counter(reasons).most_common()}
        return cls(seen=kept + sum(left_out.values()), kept=kept, left_out=left_out)

    def __add__(self, other: Self) -> Self:
        """Both shards together."""
        left_out = Counter(self.left_out) + Counter(other.left_out)
        return type(self)(
            seen=self.seen + other.seen,
            kept=self.kept + other.kept,
            left_out=dict(_most_first(left_out)),
        )

    def after(self, later: Self) -> Self:
        """Combine with a later filter's counts of the kept rows.

        Raises:
            InvalidInputError: the later filter's rows differ from the kept ones.
        """
        if later.seen != self.kept:
            raise InvalidInputError(
                f"counts of filters: {self.kept} rows were kept, and {later.seen} looked at again"
            )
        left_out = Counter(self.left_out) + Counter(later.left_out)
        return type(self)(seen=self.seen, kept=later.kept, left_out=dict(_most_first(left_out)))

    @property
    def faulty(self) -> int:
        """Rows with a fault; excludes those dropped by choice, such as duplicates."""
        return sum(self._faults().values())

    @property
    def faulty_share(self) -> float:
        """Share of the rows with a fault; 0 without rows."""
        return self.faulty / self.seen if self.seen else 0.0

    def why(self) -> str:
        """The main faults, in words; empty if there are none."""
        named = [
            f"{reason} ({count:,}, {100 * count / self.faulty:.0f} %)"
            for reason, count in _most_first(self._faults())
        ]
        rest = len(named) - _REASONS_IN_AN_ERROR
        shown = ", ".join(named[:_REASONS_IN_AN_ERROR])
        return f"{shown} and {rest} more reasons" if rest > 0 else shown

    def check(self, max_faulty_share: float, where: str) -> None:
        """Fail if too many rows have faults.

        Raises:
            InvalidInputError: more than the share; the message gives the main reason.
        """
        if self.faulty_share > max_faulty_share:
            raise InvalidInputError(
                f"{where}: {self.faulty:,} of {self.seen:,} rows cannot be used "
                f"({100 * self.faulty_share:.1f} %, at most {100 * max_faulty_share:g} % are "
                f"allowed), most of them for: {self.why()}"
            )

    def _faults(self) -> Counter[str]:
        return Counter(
            {reason: count for reason, count in self.left_out.items() if reason not in CHOICES}
        )


def _most_first(counts: Counter[str]) -> list[tuple[str, int]]:
    """Sorted by count and then by name, for a deterministic text."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
