"""``python -m docs.first_hour``: runs what the pages for newcomers say, after ``make demo``.

The shell lines of all pages are run in one bash, in the order in which they stand, and the Python
blocks of a page as one program, in the place of the last one; in the checkout's root, as a reader
would. A block whose fence says ``needs=...`` is not run, and its reason is printed. Ends with
status 1 if a command failed.
"""

import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.table import Table
from rich.text import Text

from docs.blocks import Block, read_blocks
from spatialreward.figures import Figure, figures_console, write_figures
from spatialreward.progress import track

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/first-hour.md", "docs/local-stack.md", "docs/quickstart.md")
OUT = Path("build/first-hour")
_TIMEOUT_S = 900.0
_LAST_LINES = 15
_CLEAN_UP = "spatialreward stack down"
# A newcomer's shell has none of these; the pages set them.
_SET_BY_PAGES = ("VIRTUAL_ENV", "PYTHONPATH", "MLFLOW_", "S3_", "AWS_", "TRITON_", "SPATIALREWARD_")


class Step(NamedTuple):
    """One thing that a page says to do."""

    where: str
    """``PAGE:LINE``."""
    command: str
    shown: str
    """What the page says, on one line."""
    needs: str = ""
    """What is not here; empty: the command is run."""


class Outcome(NamedTuple):
    """How a command ended."""

    step: Step
    status: int
    seconds: float
    log: Path


def steps_of(page: Path, out: Path) -> Iterator[Step]:
    """What a page says to do, in order; its Python blocks are one program, in the last one's place.

    Args:
        page: relative to the checkout's root.
        out: folder for the program.
    """
    blocks = read_blocks(ROOT / page)
    python = [one for one in blocks if one.language == "python" and "needs" not in one.options]
    for block in blocks:
        if block.language in ("sh", "console"):
            needs = block.options.get("needs", "")
            for line, command in block.commands():
                yield Step(f"{page}:{line}", command, " ".join(command.split()), needs)
        elif python and block == python[-1]:
            yield _program(page, python, out)


def _program(page: Path, python: Sequence[Block], out: Path) -> Step:
    program = out / f"{page.stem}.py"
    program.write_text("\n".join(f"# {page}:{block.line}\n{block.text}" for block in python))
    what = f"the page's {len(python)} Python blocks"
    return Step(f"{page}:{python[0].line}", f"python {shlex.quote(str(program))}", what)


def run_steps(steps: Sequence[Step], out: Path) -> Iterator[Outcome]:
    """Run commands in one bash, each with a log of its own; one that hangs ends the rest."""
    script = out / "script.sh"
    logs = [out / f"{number:02d}.log" for number in range(len(steps))]
    reading, writing = os.pipe()
    script.write_text(
        "".join(
            f"{{ {step.command}\n}} </dev/null >{shlex.quote(str(log))} 2>&1\necho $? >&{writing}\n"
            for step, log in zip(steps, logs, strict=True)
        )
    )
    bash = subprocess.Popen(
        ["bash", "--noprofile", "--norc", script],
        cwd=ROOT,
        env=_newcomers_environment(),
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    with os.fdopen(reading) as answers:
        try:
            for step, log in zip(steps, logs, strict=True):
                started = time.monotonic()
                ready, _, _ = select.select([answers], [], [], _TIMEOUT_S)
                answer = answers.readline().strip() if ready else ""
                seconds = time.monotonic() - started
                if not answer:
                    yield Outcome(step, 124 if not ready else (bash.wait() or 1), seconds, log)
                    return
                yield Outcome(step, int(answer), seconds, log)
        finally:
            if bash.poll() is None:
                os.killpg(bash.pid, signal.SIGKILL)
            bash.wait()


def main(
    real_edits: Annotated[
        Path | None,
        typer.Option(metavar="JSONL", help="Also judge these edits on disk, as their owner would."),
    ] = None,
) -> None:
    """Run the commands of the newcomers' pages and print which of them worked."""
    if not (ROOT / "build" / "figures" / "demo.json").is_file():
        raise SystemExit("error: build/figures/demo.json is missing: run `make demo` first")
    out = OUT if OUT.is_absolute() else ROOT / OUT
    out.mkdir(parents=True, exist_ok=True)
    steps = [step for page in PAGES for step in steps_of(Path(page), out)]
    if real_edits is not None:
        ready = next(n for n, step in enumerate(steps, start=1) if "stack env" in step.command)
        steps.insert(ready, _own_pictures(real_edits, out))
    # The last page leaves its services running.
    steps.append(Step("at the end", _CLEAN_UP, _CLEAN_UP))
    todo = [step for step in steps if not step.needs]
    outcomes = list(track(run_steps(todo, out), total=len(todo), description="first hour"))
    worked = sum(outcome.status == 0 for outcome in outcomes)
    _print(outcomes, [step for step in steps if step.needs], len(todo))
    figure = Figure.at_least("first_hour/commands_that_worked", worked, len(todo))
    more = {"not_run": {step.where: step.needs for step in steps if step.needs}}
    path = write_figures("first-hour", [figure], seeds={}, more=more, folder=ROOT / "build/figures")
    typer.echo(f"{worked} of {len(todo)} commands worked; {path}; logs: {out}")
    if worked < len(todo):
        raise SystemExit(1)


def _newcomers_environment() -> dict[str, str]:
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(_SET_BY_PAGES)
    }
    paths = variables.get("PATH", os.defpath).split(os.pathsep)
    # `make` runs this with the environment's own interpreter; a newcomer activates it.
    venv = str(ROOT / ".venv")
    return variables | {"PATH": os.pathsep.join(one for one in paths if not one.startswith(venv))}


def _own_pictures(edits: Path, out: Path) -> Step:
    command = (
        f"spatialreward judge --edits {shlex.quote(str(edits.absolute()))} "
        f"--overlay-dir {shlex.quote(str(out / 'real'))}"
    )
    # 2: each was answered, and some of the answers are no judgements, as they are on photographs.
    return Step("pictures of one's own", f"{command} || test $? -eq 2", command)


def _print(outcomes: Sequence[Outcome], skipped: Sequence[Step], total: int) -> None:
    table = Table(title="The first hour", title_justify="left", show_edge=False, pad_edge=False)
    for heading in ("where", "command", "worked", "s"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "s" else "left")
    for outcome in outcomes:
        status = Text("yes", "green") if outcome.status == 0 else Text("no", "bold red")
        step = outcome.step
        table.add_row(step.where, Text(step.shown), status, f"{outcome.seconds:.0f}")
    for step in skipped:
        table.add_row(step.where, Text(step.shown), Text(f"needs {step.needs}", "dim"), "")
    console = figures_console()
    console.print(table)
    for outcome in outcomes:
        if outcome.status:
            lines = outcome.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            console.print(Text(f"\n{outcome.step.where}: status {outcome.status}", "bold red"))
            console.print(Text("\n".join(lines)))
    if len(outcomes) < total:
        console.print(Text(f"{total - len(outcomes)} commands were not reached", "bold red"))


if __name__ == "__main__":
    typer.run(main)
