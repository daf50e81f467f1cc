"""What annotation takes: requests, tokens, money and faults, for one edit and in total."""

from collections import Counter
from typing import Self

from pydantic import Field, NonNegativeInt

from spatialreward.records import Record


class TeacherUsage(Record):
    """What one edit or many took.

    Tokens and cost are those of all answers behind the results, so they are the same for a run that
    was killed and resumed; ``paid_before`` says how much of the cost an earlier run had paid.
    """

    calls: NonNegativeInt = 0
    """Requests that this run sent, retries and failures included."""
    retries: NonNegativeInt = 0
    """How many of them the client sent because an earlier one had failed."""
    answers: NonNegativeInt = 0
    """Answers of the model, usable or not, from the server and from the ledger."""
    from_ledger: NonNegativeInt = 0
    prompt_tokens: NonNegativeInt = 0
    completion_tokens: NonNegativeInt = 0
    estimated: NonNegativeInt = 0
    """Answers whose tokens the server did not tell, so that they are estimates."""
    cost: float = Field(0.0, ge=0)
    """In the currency of the prices; 0 where there are none."""
    paid_before: float = Field(0.0, ge=0)
    faults: dict[str, int] = Field(default_factory=dict)
    """Faults of answers, and of requests that no retry mended, by kind."""

    def __add__(self, other: Self) -> Self:
        """Both together."""
        sums = {
            name: getattr(self, name) + getattr(other, name)
            for name in type(self).model_fields
            if name != "faults"
        }
        faults = Counter(self.faults) + Counter(other.faults)
        return type(self)(**sums, faults=dict(sorted(faults.items())))

    def __str__(self) -> str:
        """One line for a log."""
        tokens = f"{self.prompt_tokens:,} + {self.completion_tokens:,} tokens"
        faults = ", ".join(f"{count} {fault}" for fault, count in self.faults.items())
        return (
            f"{self.answers:,} answers ({self.from_ledger:,} from the ledger), {self.calls:,} calls"
            f" ({self.retries:,} retries), {tokens}, cost {self.cost:.4f}"
            f" ({self.paid_before:.4f} paid before), faults: {faults or 'none'}"
        )


class Tally:
    """Counts while one edit is being annotated; belongs to one task."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.usage = TeacherUsage()

    def add(self, **counts: float) -> None:
        """Count more, by the names of ``TeacherUsage``'s fields."""
        self.usage += TeacherUsage(**counts)

    def fault(self, fault: str) -> None:
        """Count a fault."""
        self.usage += TeacherUsage(faults={fault: 1})
