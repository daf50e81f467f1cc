"""Metrics of a training as JSON Lines: one line a step, also after steps were repeated."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_UNFINISHED = ".partial"


class MetricsFile:
    """A file that grows by one line a step."""

    def __init__(self, path: Path) -> None:
        """Use a file, which need not exist."""
        self.path = path

    def report(self, metrics: Mapping[str, float], step: int) -> None:
        """Write the metrics of a step; replaces its and later lines of a killed run."""
        line = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        earlier = self.lines()
        if earlier and earlier[-1]["step"] >= step:
            self._replace(json.dumps(one) for one in earlier if one["step"] < step)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | line) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """The metrics so far, without a last line that a kill truncated."""
        if not self.path.is_file():
            return []
        *whole, rest = self.path.read_text(encoding="utf-8").split("\n")
        if rest:
            self._replace(whole)
        return [json.loads(line) for line in whole]

    def _replace(self, lines: Iterable[str]) -> None:
        unfinished = self.path.with_name(f"{self.path.name}{_UNFINISHED}")
        unfinished.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        unfinished.replace(self.path)
