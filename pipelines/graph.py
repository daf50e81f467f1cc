"""Runs the graph in a separate process, shows its progress, and stops all of it at the end.

Steps report their state as events (``spatialreward.ops.events``). The process's output goes to a
log for people.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from spatialreward.errors import SpatialRewardError
from spatialreward.openmp import WAIT_ASLEEP
from spatialreward.ops.events import FILE_VARIABLE, Event, first_failure, parse_events, read_events

ROOT = Path(__file__).parents[1]
"""Root of ``components`` and ``pipelines``."""
LOG = "log.txt"
"""The output of all steps, in the folder of a run."""
_GRACE_S = 8.0
_LOOK_EVERY_S = 0.2


class GraphError(SpatialRewardError, RuntimeError):
    """A step of the pipeline failed; the message has its name, its error, and the log."""


def run_graph(
    pipeline: Path,
    arguments: Mapping[str, str],
    folder: Path,
    environment: Mapping[str, str],
    num_steps: int,
) -> dict[str, str]:
    """Run a compiled pipeline and return its outputs.

    Args:
        pipeline: the compiled YAML.
        arguments: its parameters.
        folder: for its log, ``log.txt``, the steps' events, and kfp's files.
        environment: variables for the steps, beside those of this process.
        num_steps: number of steps, for the progress.

    Raises:
        GraphError: a step failed; has its name, its error, and the log.
    """
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    given, answers, events = (
        folder / name for name in ("arguments.json", "answers.json", "events.jsonl")
    )
    given.write_text(json.dumps(dict(arguments)))
    variables = WAIT_ASLEEP | dict(os.environ)
    variables.pop("MLFLOW_RUN_ID", None)
    path = os.pathsep.join([str(ROOT), *filter(None, [variables.get("PYTHONPATH")])])
    variables |= {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary)}
    variables[FILE_VARIABLE] = str(events)
    command = [sys.executable, "-m", "pipelines.local", str(pipeline), str(given), str(answers)]
    try:
        with _group(command, variables | environment, folder / LOG) as process:
            status = _follow(process, events, num_steps)
    finally:
        # kfp leaves the source of every component in the one, and outputs in the other.
        for litter in (temporary, folder / "kfp"):
            shutil.rmtree(litter, ignore_errors=True)
    if status:
        raise GraphError(_reason(read_events(events), status, folder / LOG))
    return json.loads(answers.read_text())


@contextmanager
def _group(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process whose descendants all end with the ``with`` block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        # An interrupt first, so that steps can record in MLflow that they were stopped.
        for number, seconds in ((signal.SIGINT, _GRACE_S), (signal.SIGKILL, 2.0)):
            if _stopped(process, number, seconds):
                break
        process.wait()


def _stopped(process: subprocess.Popen[bytes], number: signal.Signals, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        return False
    return True


def _follow(process: subprocess.Popen[bytes], events: Path, num_steps: int) -> int:
    """Show the steps' events until the process ends; returns its exit status.

    On a terminal a bar counts steps, with the current step's state beside it.
    """
    events.touch()
    with (
        events.open(encoding="utf-8") as log,
        tqdm(total=num_steps, desc="steps", unit="step", dynamic_ncols=True, disable=None) as bar,
    ):
        begun = ""
        while True:
            status = process.poll()
            # Read after polling the process, so that its last events are included.
            *whole, begun = (begun + log.read()).split("\n")
            for event in parse_events(whole):
                _show(event, bar)
            if status is not None:
                return status
            time.sleep(_LOOK_EVERY_S)


def _show(event: Event, bar: "tqdm[None]") -> None:
    if event.kind == "progress" and not bar.disable:
        bar.set_postfix_str(event.text.partition(" ")[2])
    elif event.kind in ("said", "progress", "reused"):
        tqdm.write(event.text, file=sys.stderr)
    elif event.kind == "finished":
        bar.set_postfix_str("")
        bar.update()


def _reason(events: Sequence[Event], status: int, log: Path) -> str:
    failure = first_failure(events)
    if failure is None:
        return f"the pipeline's process ended with status {status} (log: {log})"
    return f"step {failure.step} failed: {failure.text} (log: {log})"
