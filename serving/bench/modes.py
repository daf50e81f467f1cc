"""``python -m serving.bench.modes``: trains a joint judge, then measures both of its modes."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from spatialreward.cli.command import SingleCommand, configure_logging
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig

SEED = 29
_FOLDER = Path("build/bench-modes")
_TASK_SIZES = (2, 3, 4)
"""Candidates of a task; their pairs train the head."""

app = typer.Typer(pretty_exceptions_enable=False)


@app.command(cls=SingleCommand)
def main(
    num_samples: Annotated[int, typer.Option(min=24, help="Samples of the training.")] = 4_800,
    num_edits: Annotated[int, typer.Option(min=2, help="Held-out edits to judge.")] = 192,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that count.")] = 3,
) -> None:
    """Train a joint judge from the shipped base, and run `benchmark modes` on held-out edits."""
    configure_logging()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    world = DataConfig(
        seed=SEED, num_train=4_500, num_heldout=num_edits, num_shards=1, candidates=_TASK_SIZES
    )
    for split in ("train", "heldout"):
        build_shard(world, split, 0, _FOLDER / split)
    judge = str(_FOLDER / "judge")
    settings = {"kind": '"joint"', "num_samples": num_samples, "processes": 2}
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    places = ["--data", str(_FOLDER / "train"), "--base", "shipped", "--out", judge]
    _run("train", "judge", *places, *changes)
    measured = ["--data", str(_FOLDER / "heldout"), "--judge", judge]
    counts = ["--num-edits", str(num_edits), "--rounds", str(rounds)]
    _run("benchmark", "modes", *measured, *counts)


def _run(*arguments: str) -> None:
    """Run a command of the library, and pass its output on.

    Raises:
        typer.Exit: it failed; its output gives the reason.
    """
    done = subprocess.run([sys.executable, "-m", "spatialreward.cli", *arguments], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


if __name__ == "__main__":
    app()
