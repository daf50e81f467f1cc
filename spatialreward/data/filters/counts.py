"""How many rows came, stayed and went, by reason; counts of shards add up to those of the whole."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

from pydantic import NonNegativeInt, model_validator

from spatialreward.data.filters.reasons import CHOICES
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

_REASONS_IN_AN_ERROR = 3


class FilterCounts(Record):
    """What became of the rows of a shard, or of a data set."""

    seen: NonNegativeInt = 0
    kept: NonNegativeInt = 0
    left_out: dict[str, NonNegativeInt] = {}  # noqa: RUF012 - pydantic copies it, and it is frozen
    """Rows by the reason they were left out for; each row has one."""

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
        """Counts of so many rows that were kept, and one reason for each that was not."""
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
        """These counts, with the rows that were kept looked at once more by a later filter.

        Raises:
            InvalidInputError: the later filter saw other rows than those that were kept.
        """
        if later.seen != self.kept:
            raise InvalidInputError(
                f"counts of filters: {self.kept} rows were kept, and {later.seen} looked at again"
            )
        left_out = Counter(self.left_out) + Counter(later.left_out)
        return type(self)(seen=self.seen, kept=later.kept, left_out=dict(_most_first(left_out)))

    @property
    def faulty(self) -> int:
        """Rows with a fault; those left out by choice, such as duplicates, are not among them."""
        return sum(self._faults().values())

    @property
    def faulty_share(self) -> float:
        """Share of the rows seen that have a fault; 0 where none was seen."""
        return self.faulty / self.seen if self.seen else 0.0

    def why(self) -> str:
        """Which faults dominate, in words; empty if there are none."""
        named = [
            f"{reason} ({count:,}, {100 * count / self.faulty:.0f} %)"
            for reason, count in _most_first(self._faults())
        ]
        rest = len(named) - _REASONS_IN_AN_ERROR
        shown = ", ".join(named[:_REASONS_IN_AN_ERROR])
        return f"{shown} and {rest} more reasons" if rest > 0 else shown

    def check(self, max_faulty_share: float, where: str) -> None:
        """Stop where too many rows have faults.

        Raises:
            InvalidInputError: more than the share; the message says which reason dominates.
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
    """Sorted by count and then by name, so that the same counts always read the same."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
