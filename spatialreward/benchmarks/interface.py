"""What every benchmark of judges can do: give edits to judge, and score the judgements.

A benchmark is a list of items: one task, several edits of it, and their order from best to worst.
Each figure comes twice. *Reference rules* are the published arithmetic with its oddities, for
comparison with published tables. *Ours* count failed and missing judgements as wrong and treat
ties as ties. Figures of two benchmarks are never put into one column, even if they share a name.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from spatialreward.benchmarks.statistics import Values
from spatialreward.records import Judgement

Judgements = Mapping[str, Judgement]
"""By the key of the edit; an edit without a judgement is missing."""


class Picture(Protocol):
    """A picture that is read when it is needed: a benchmark may be larger than the memory."""

    @property
    def where(self) -> str:
        """File, row and field, as an error names them."""
        ...

    def read(self) -> bytes:
        """The picture file.

        Raises:
            InvalidInputError: it cannot be read; names it.
        """
        ...


class Candidate(NamedTuple):
    """One of the edits that an item compares."""

    key: str
    """Of the edit; rows that show the same edit have the same key, and it is judged once."""
    name: str
    """Within its item."""
    edited: Picture
    truth: str | None = None
    """How the edit was made, for the judge ``oracle``; see ``Edit``."""


class Item(NamedTuple):
    """One row of a benchmark: a task, edits of it, and which is better."""

    id: str
    prompt: str
    """The same for items of one task: they are not independent, so they are resampled together."""
    instruction: str
    sources: tuple[Picture, ...]
    candidates: tuple[Candidate, ...]
    """In the order in which the benchmark has them."""
    order: tuple[int, ...]
    """Places in ``candidates``, best first: the ground truth."""
    labels: Mapping[str, str]
    """What the figures are broken down by, such as ``task_type``."""


class LeftOut(NamedTuple):
    """A row or a file that is not measured on."""

    where: str
    """File, and row or id."""
    reason: str


class Published(NamedTuple):
    """A benchmark as a folder has it."""

    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the edits and their order: the same for the same benchmark."""
        told = hashlib.sha256()
        for item in self.items:
            keys = ",".join(candidate.key for candidate in item.candidates)
            told.update(
                f"{item.id}\n{keys}\n{item.order}\n{sorted(item.labels.items())}\n".encode()
            )
        return told.hexdigest()


class Metric(NamedTuple):
    """One figure under both rules."""

    name: str
    """``what``, or ``what/part`` for a part of the items."""
    reference: float | None
    """Under reference rules; None where they have no such figure, or nothing to make it of."""
    ours: Values | None
    """Under ours, item by item; None where we have no such figure."""


class Benchmark(Protocol):
    """A benchmark of judges."""

    @property
    def name(self) -> str:
        """As the command line has it."""
        ...

    @property
    def title(self) -> str:
        """Which benchmark that is, without ambiguity."""
        ...

    @property
    def rules(self) -> str:
        """Whose arithmetic the reference rules are, in one sentence."""
        ...

    @property
    def published(self) -> Published:
        """Items and what was left out."""
        ...

    def score(self, judgements: Judgements) -> list[Metric]:
        """All figures, the important ones first."""
        ...
