"""The interface of judge benchmarks: edits to judge, and scores of the judgements.

A benchmark is a list of items: one task, several edits of it, and their order from best to worst.
Each figure has two versions. *Reference rules* are the published arithmetic with its quirks, for
comparison with published tables. *Ours* count failed and missing judgements as wrong and ties as
ties. Figures of two benchmarks never share a column, even with the same name.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from spatialreward.benchmarks.statistics import Values
from spatialreward.records import Judgement

Judgements = Mapping[str, Judgement]
"""By the key of the edit; an edit without an entry is missing."""


class Picture(Protocol):
    """A picture read on demand: a benchmark may exceed the memory."""

    @property
    def where(self) -> str:
        """File, row and field, for errors."""
        ...

    def read(self) -> bytes:
        """The picture file.

        Raises:
            InvalidInputError: it is unreadable; names it.
        """
        ...


class Candidate(NamedTuple):
    """One of an item's edits."""

    key: str
    """Of the edit; rows with the same edit share a key, and it is judged once."""
    name: str
    """Within its item."""
    edited: Picture
    truth: str | None = None
    """How the edit was generated, for the judge ``oracle``; see ``Edit``."""


class Item(NamedTuple):
    """One row of a benchmark: a task, its edits, and their order."""

    id: str
    prompt: str
    """Shared by items of one task: they are not independent, so they are resampled together."""
    instruction: str
    sources: tuple[Picture, ...]
    candidates: tuple[Candidate, ...]
    """In the benchmark's order."""
    order: tuple[int, ...]
    """Indices into ``candidates``, best first: the ground truth."""
    labels: Mapping[str, str]
    """Groups for breaking down figures, such as ``task_type``."""


class LeftOut(NamedTuple):
    """An unusable row or file."""

    where: str
    """File, and row or id."""
    reason: str


class Published(NamedTuple):
    """A parsed benchmark."""

    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the edits and their order; identifies the benchmark."""
        digest = hashlib.sha256()
        for item in self.items:
            keys = ",".join(candidate.key for candidate in item.candidates)
            digest.update(
                f"{item.id}\n{keys}\n{item.order}\n{sorted(item.labels.items())}\n".encode()
            )
        return digest.hexdigest()


class Metric(NamedTuple):
    """One figure under both rules."""

    name: str
    """``what``, or ``what/part`` for a part of the items."""
    reference: float | None
    """Under reference rules; None if they lack it, or there is no data."""
    ours: Values | None
    """Under ours, by item; None if we lack it."""


class Benchmark(Protocol):
    """A benchmark of judges."""

    @property
    def name(self) -> str:
        """Its name on the command line."""
        ...

    @property
    def title(self) -> str:
        """Its unambiguous name."""
        ...

    @property
    def rules(self) -> str:
        """Origin of the reference rules, in one sentence."""
        ...

    @property
    def published(self) -> Published:
        """Items, with the dropped rows."""
        ...

    def score(self, judgements: Judgements) -> list[Metric]:
        """All figures, the most important first."""
        ...
