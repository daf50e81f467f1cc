"""``python -m tests.rehearsal``: the paper's classes at toy sizes through the whole pipeline."""

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from spatialreward.cli.command import SingleCommand, configure_logging

app = typer.Typer(pretty_exceptions_enable=False)
_OUT = Path("build/rehearsal")


@app.command(cls=SingleCommand)
def main(
    real_edits: Annotated[
        Path | None,
        typer.Option(metavar="JSONL", help="Real edits to train on; without, all are generated."),
    ] = None,
    triton_python: Annotated[
        Path,
        typer.Option(
            envvar="SPATIALREWARD_TRITON_PYTHON",
            help="Interpreter of the environment that holds Triton's server.",
        ),
    ] = Path(".venv-triton/bin/python"),
    started_at: Annotated[
        float | None,
        typer.Option(help="Count the time from this moment, in seconds since the epoch."),
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Run the profile `rehearsal` on a stack of its own; writes rehearsal.json.

    A Qwen3-VL of random weights is taught to write on generated edits, then goes through the whole
    pipeline: data from edits on disk with a teacher that is often wrong, LoRA and DeepSpeed ZeRO-2
    on two processes, gate, Triton, RL of OmniGen2's classes, then of two more editors'. Everything
    of an earlier rehearsal is removed first.
    """
    configure_logging(verbose=verbose)
    from spatialreward.figures import figures_console, figures_table, write_figures
    from spatialreward.stack import StackConfig, down
    from tests.rehearsal.inputs import SEED
    from tests.rehearsal.running import Size, rehearse

    begun = started_at or time.time()
    state = _OUT / "stack"
    if state.is_dir():
        down(state)
    shutil.rmtree(_OUT, ignore_errors=True)
    stack = StackConfig(state_dir=state, triton_python=triton_python)
    figures = rehearse(_OUT, stack, Size(), real_edits, begun)
    path = write_figures("rehearsal", figures, seeds={"rehearsal": SEED})
    figures_console().print(figures_table("the whole pipeline, rehearsed", figures))
    typer.echo(f"written to {path}")


if __name__ == "__main__":
    app()
