"""The figures of a step: means and totals, over all processes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Self

import torch
from torch import Tensor

from spatialreward.training.processes import Processes


class Meters:
    """Accumulates a step's metrics."""

    def __init__(self) -> None:
        """Start empty."""
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, float] = defaultdict(float)
        self._totals: defaultdict[str, float] = defaultdict(float)

    def mean(self, name: str, values: Tensor | Iterable[float] | float) -> None:
        """Add values to the mean of that name; skips NaN."""
        if not isinstance(values, Tensor):
            values = torch.tensor([values] if isinstance(values, int | float) else list(values))
        known = values.detach().double().flatten()
        known = known[~known.isnan()]
        self._sums[name] += float(known.sum())
        self._counts[name] += len(known)

    def means(self, values: Mapping[str, Tensor | Iterable[float] | float]) -> None:
        """Add values to several means."""
        for name, some in values.items():
            self.mean(name, some)

    def total(self, name: str, value: float) -> None:
        """Add to the total of that name."""
        self._totals[name] += value

    def gathered(self, processes: Processes) -> dict[str, float]:
        """Means and totals over all processes, identical in each; NaN for an empty mean."""
        merged = Meters()
        for one in processes.from_all((self._sums, self._counts, self._totals)):
            merged._add(*one)
        means = {
            name: total / merged._counts[name] if merged._counts[name] else float("nan")
            for name, total in merged._sums.items()
        }
        return means | dict(merged._totals)

    def _add(
        self, sums: Mapping[str, float], counts: Mapping[str, float], totals: Mapping[str, float]
    ) -> Self:
        for own, theirs in (
            (self._sums, sums),
            (self._counts, counts),
            (self._totals, totals),
        ):
            for name, value in theirs.items():
                own[name] += value
        return self
