"""``spatialreward train judge``: fine-tune a checkpoint on labelled edits."""

import logging
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.data_options import LabelledEdits
from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from spatialreward.data.dataset import Dataset
    from spatialreward.metrics_file import MetricsFile
    from spatialreward.progress import ReportMetrics
    from spatialreward.training.config import JudgeTrainingConfig
    from spatialreward.training.sft import Base

logger = logging.getLogger(__name__)
_SHIPPED = "shipped"
_METRICS = "training.jsonl"
_BASES = (
    "shipped, the tiny base that comes with the library, a folder, hub:OWNER/NAME@REVISION, "
    "models:/NAME@ALIAS or models:/NAME/VERSION"
)


def judge(
    data: LabelledEdits,
    base: Annotated[str, typer.Option(metavar="JUDGE", help=f"Start from: {_BASES}.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The judge's folder; must not exist.")],
    drawn: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET", help="Edits that an editor drew; drawn_share says how many."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Settings, as [judge.training] of a pipeline's profile has them. Default: those "
            "of the tiny judge.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting, such as optimiser.learning_rate=1e-4; may be repeated.",
        ),
    ] = None,
) -> None:
    """Fine-tune a checkpoint into a judge: regions, reasoning and scores of labelled edits.

    DIR gets weights, tokenizer, protocol and card, and training.jsonl with losses and speed. With
    tuning.kind=lora low-rank matrices are trained and merged; with processes=N or deepspeed=zero2
    or zero3 this command starts N processes of this machine. On several machines, start it with
    torchrun. States are kept in DIR.training: after a kill the same command goes on.

    Example: spatialreward train judge --data edits --base hub:Qwen/Qwen3-VL-2B-Instruct@main
    --set protocol=full --set tuning.kind=lora --set trains_vision=false --out judge
    """
    settings = _settings(config, overrides or [])
    if out.exists():
        raise InvalidInputError(f"--out {out}: is there already")
    from spatialreward.training.processes import joined, needs_start, run_together

    if needs_start(settings):
        run_together(settings.processes, "spatialreward.cli", sys.argv[1:])
        typer.echo(f"the judge and its card are in {out}")
        return
    from spatialreward.metrics_file import MetricsFile
    from spatialreward.training.sft import train_judge

    with joined(settings) as processes:
        if not processes.is_first:
            logging.getLogger("spatialreward").setLevel(logging.WARNING)
        folder = out.with_name(f"{out.name}.training")
        folder.mkdir(parents=True, exist_ok=True)
        metrics = MetricsFile(folder / _METRICS)
        train_judge(
            _base(base),
            settings,
            _open(data),
            folder / "judge",
            _reporter(metrics),
            drawn=None if drawn is None else _open(drawn),
            earlier_out=out.with_name(f"{out.name}-earlier"),
            state_folder=folder / "states",
            processes=processes,
        )
        if processes.is_first:
            metrics.path.rename(folder / "judge" / _METRICS)
            (folder / "judge").rename(out)
            shutil.rmtree(folder)
            typer.echo(f"the judge and its card are in {out}")


def _settings(path: Path | None, overrides: list[str]) -> "JudgeTrainingConfig":
    from spatialreward.ops.overrides import Table, settings_over
    from spatialreward.training.config import JudgeTrainingConfig

    tables = [Table.read(path)] if path else []
    return settings_over(JudgeTrainingConfig(), tables, overrides)


def _base(name: str) -> "Base":
    from spatialreward.judges.load import fetch
    from spatialreward.training.sft import Base
    from spatialreward.world.shipped import SHIPPED_BASE, SHIPPED_ORIGIN

    if name == _SHIPPED:
        return Base(SHIPPED_BASE, SHIPPED_ORIGIN)
    return Base(fetch(name).folder, name)


def _open(name: str) -> "Dataset":
    from spatialreward.data.dataset import DatasetRef

    return DatasetRef.parse(name).open()


def _reporter(file: "MetricsFile") -> "ReportMetrics":
    """Logs metrics, and adds a line of them to a file."""

    def report(metrics: dict[str, float], step: int) -> None:
        told = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        logger.info("step %d: %s", step, told)
        file.report(metrics, step)

    return report
