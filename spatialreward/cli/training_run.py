"""What the commands that train a judge share: processes, states, metrics, and where it all lies."""

import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from spatialreward.data.dataset import Dataset
    from spatialreward.metrics_file import MetricsFile
    from spatialreward.progress import ReportMetrics
    from spatialreward.training.base import Base
    from spatialreward.training.config import TrainingConfig
    from spatialreward.training.processes import Processes

logger = logging.getLogger(__name__)
_SHIPPED = "shipped"
_METRICS = "training.jsonl"
BASES = (
    "shipped, the tiny base that comes with the library, a folder, hub:OWNER/NAME@REVISION, "
    "models:/NAME@ALIAS or models:/NAME/VERSION"
)


class Run(NamedTuple):
    """Where a training writes, what it reports to, and which process this is."""

    judge: Path
    states: Path
    report: "ReportMetrics"
    processes: "Processes"


def run_training(settings: "TrainingConfig", out: Path, train: Callable[[Run], None]) -> None:
    """Train in as many processes as the settings say, and put the judge in its place.

    States are kept in ``OUT.training``, so that the same command goes on after a kill.

    Args:
        settings: of the training.
        out: the judge's folder; must not exist.
        train: writes the judge, in every process.

    Raises:
        InvalidInputError: ``out`` is there, or as ``train`` raises.
        ProcessesError: one of the processes failed.
    """
    if out.exists():
        raise InvalidInputError(f"--out {out}: is there already")
    from spatialreward.training.processes import joined, needs_start, run_together

    if needs_start(settings):
        run_together(settings.processes, "spatialreward.cli", sys.argv[1:])
        typer.echo(f"the judge and its card are in {out}")
        return
    from spatialreward.metrics_file import MetricsFile

    with joined(settings) as processes:
        if not processes.is_first:
            logging.getLogger("spatialreward").setLevel(logging.WARNING)
        folder = out.with_name(f"{out.name}.training")
        folder.mkdir(parents=True, exist_ok=True)
        metrics = MetricsFile(folder / _METRICS)
        train(Run(folder / "judge", folder / "states", _reporter(metrics), processes))
        if processes.is_first:
            metrics.path.rename(folder / "judge" / _METRICS)
            (folder / "judge").rename(out)
            shutil.rmtree(folder)
            typer.echo(f"the judge and its card are in {out}")


def training_base(name: str) -> "Base":
    """What a training begins with, by its name."""
    from spatialreward.judges.load import fetch
    from spatialreward.training.base import Base
    from spatialreward.world.shipped import SHIPPED_BASE, SHIPPED_ORIGIN

    if name == _SHIPPED:
        return Base(SHIPPED_BASE, SHIPPED_ORIGIN)
    return Base(fetch(name).folder, name)


def open_data(name: str) -> "Dataset":
    """A data set by its name."""
    from spatialreward.data.dataset import DatasetRef

    return DatasetRef.parse(name).open()


def _reporter(file: "MetricsFile") -> "ReportMetrics":
    """Logs metrics, and adds a line of them to a file."""

    def report(metrics: dict[str, float], step: int) -> None:
        told = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        logger.info("step %d: %s", step, told)
        file.report(metrics, step)

    return report
