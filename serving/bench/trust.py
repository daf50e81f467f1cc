"""``python -m serving.bench.trust``: a judge's robustness, with and without negatives.

Two trainings of the shipped base that differ only in ``negatives_share`` run in parallel. Each
judge is then tested with the attacks of ``spatialreward benchmark trust``, whose words are in no
training.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from spatialreward.cli.command import SingleCommand, configure_logging

if TYPE_CHECKING:
    from spatialreward.benchmarks.judge import JudgeFigures
    from spatialreward.benchmarks.trust import Trust
    from spatialreward.data.dataset import Dataset
    from spatialreward.figures import Figure

SEED = 23
_FOLDER = Path("build/bench-trust")
_PROGRAM = "from spatialreward.cli.main import main; main()"
_BASE, _WITHOUT, _WITH = "base", "without", "with"
_NOT_LOWER = 0.01
"""Allowed loss of accuracy: 400 edits resolve no smaller difference."""

app = typer.Typer(pretty_exceptions_enable=False)


class Effort(NamedTuple):
    """Size of training and measurement."""

    num_samples: int = 12_000
    negatives_share: float = 0.35
    num_train: int = 9_000
    num_heldout: int = 400
    num_attacked: int = 60
    learning_rate: float = 4e-4


class Measured(NamedTuple):
    """Results of one judge."""

    trust: "Trust"
    judge: "JudgeFigures"


@app.command(cls=SingleCommand)
def main(
    num_samples: Annotated[
        int, typer.Option(min=24, help="Samples of each training.")
    ] = Effort().num_samples,
    negatives_share: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Share of attacked copies in one of them.")
    ] = Effort().negatives_share,
    num_attacked: Annotated[
        int, typer.Option(min=2, help="Bad edits to attack, of the held-out ones.")
    ] = Effort().num_attacked,
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Measure and write trust.json; about twelve minutes on two idle cores."""
    configure_logging(verbose=verbose)
    from spatialreward.figures import figures_console, figures_table, write_figures

    shutil.rmtree(_FOLDER, ignore_errors=True)
    effort = Effort(
        num_samples=num_samples, negatives_share=negatives_share, num_attacked=num_attacked
    )
    measured = measure(_FOLDER, effort)
    figures = figures_of(measured)
    base = {one.name: one.value for one in _plain_figures(measured[_BASE])}
    path = write_figures(
        "trust", figures, seeds={"world": SEED}, more={"effort": effort._asdict(), "base": base}
    )
    title = f"{num_attacked} bad edits under attack, and {effort.num_heldout} held-out edits"
    baseline = "without negatives"
    figures_console().print(figures_table(title, figures, {"shipped base": base}, baseline))
    typer.echo(f"written to {path}")


def measure(folder: Path, effort: Effort) -> dict[str, Measured]:
    """Train both judges and measure them and their base.

    Args:
        folder: new, for all files.
        effort: size of training and measurement.
    """
    from spatialreward.data.dataset import Dataset
    from spatialreward.world.building import build_shard
    from spatialreward.world.config import DataConfig
    from spatialreward.world.shipped import SHIPPED_BASE

    world = DataConfig(
        seed=SEED, num_train=effort.num_train, num_heldout=effort.num_heldout, num_shards=1
    )
    for split in ("train", "heldout"):
        build_shard(world, split, 0, folder / split)
    shares = {_WITHOUT: 0.0, _WITH: effort.negatives_share}
    train_together(folder, effort, shares)
    judges = {_BASE: SHIPPED_BASE, **{name: folder / name for name in shares}}
    heldout = Dataset(folder / "heldout")
    return {name: _measured(folder, judge, heldout, effort) for name, judge in judges.items()}


def train_together(folder: Path, effort: Effort, shares: Mapping[str, float]) -> None:
    """Train a judge for each share in parallel, in ``folder`` under its name.

    Raises:
        CalledProcessError: a training failed; its output gives the reason.
    """
    trainings = [
        subprocess.Popen(_command(folder, effort, name, share)) for name, share in shares.items()
    ]
    for training in trainings:
        if code := training.wait():
            raise subprocess.CalledProcessError(code, training.args)


def _command(folder: Path, effort: Effort, name: str, share: float) -> Sequence[str]:
    settings = {
        "num_samples": effort.num_samples,
        "negatives_share": share,
        "optimiser.learning_rate": effort.learning_rate,
    }
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    places = ["--data", str(folder / "train"), "--base", "shipped", "--out", str(folder / name)]
    return [sys.executable, "-c", _PROGRAM, "train", "judge", *places, *given]


def _measured(folder: Path, judge: Path, heldout: "Dataset", effort: Effort) -> Measured:
    from spatialreward.benchmarks.labelled import LabelledEdits
    from spatialreward.benchmarks.run import judge_benchmark
    from spatialreward.benchmarks.trust import Chosen, measure_trust
    from spatialreward.judges.load import load_judge

    chosen = Chosen.of(heldout, effort.num_attacked)
    with load_judge(str(judge)) as judging:
        trust = measure_trust(judging, chosen)
        known = LabelledEdits.of(heldout)
        run = judge_benchmark(known, judging, folder / f"judged-{judge.name}")
    return Measured(trust, known.figures(run.judgements))


def figures_of(measured: Mapping[str, Measured]) -> "list[Figure]":
    """Those of the judge that was trained with negatives, against the other's.

    Attacks have fixed targets; accuracy on held-out edits must not drop.
    """
    without = {one.name: one.value for one in _plain_figures(measured[_WITHOUT])}
    figures = []
    for one in _plain_figures(measured[_WITH]):
        update: dict[str, object] = {"baseline": without.get(one.name)}
        if one.name.startswith("heldout/"):
            target = without[one.name] - _NOT_LOWER
            update |= {"target": target, "reached": one.value >= target}
        figures.append(one.model_copy(update=update))
    return figures


def _plain_figures(measured: Measured) -> "list[Figure]":
    from spatialreward.benchmarks.trust import trust_figures
    from spatialreward.figures import Figure

    judge = measured.judge
    return [
        *trust_figures(measured.trust),
        Figure(name="heldout/pairwise_accuracy", value=judge.pairwise_accuracy),
        Figure(name="heldout/mean_iou", value=judge.mean_iou),
    ]


if __name__ == "__main__":
    app()
