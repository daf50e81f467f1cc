"""Runs the graph in a process of its own, shows how it goes, and stops all of it at the end."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from spatialreward.errors import SpatialRewardError
from spatialreward.openmp import WAIT_ASLEEP

ROOT = Path(__file__).parents[1]
"""Where ``components`` and ``pipelines`` are."""
_OURS = re.compile(r"^\s*(?P<line>\d\d:\d\d:\d\d [\w-]+: .*)$")
_PROGRESS = re.compile(r": \d+/\d+ \(\d+ %\)")
_STEP_DONE = re.compile(r": (finished in \d+ s|done before, .*)$")
_STEP_FAILED = re.compile(r"Task \S*'(?P<step>[\w-]+)'\S* finished with status \S*FAILURE")
_ERROR = re.compile(r"^\s*(?:error: (?P<said>.+)|(?P<raised>[\w.]+(?:Error|Exception): .+))$")
_GRACE_S = 8.0


class GraphError(SpatialRewardError, RuntimeError):
    """A step of the pipeline failed; the message is what it said last."""


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
        folder: for its log, ``log.txt``, and what kfp keeps.
        environment: variables for the steps, beside those of this process.
        num_steps: how many there are, for the progress.

    Raises:
        GraphError: a step failed.
    """
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    given, answers = folder / "arguments.json", folder / "answers.json"
    given.write_text(json.dumps(dict(arguments)))
    variables = WAIT_ASLEEP | dict(os.environ)
    variables.pop("MLFLOW_RUN_ID", None)
    path = os.pathsep.join([str(ROOT), *filter(None, [variables.get("PYTHONPATH")])])
    variables |= {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "pipelines.local", str(pipeline), str(given), str(answers)]
    try:
        with (
            (folder / "log.txt").open("w") as log,
            _group(command, variables | environment) as process,
        ):
            assert process.stdout is not None
            said = _follow(process.stdout, log, num_steps)
            status = process.wait()
            if said or status:
                raise GraphError(said or f"the pipeline's process ended with status {status}")
    finally:
        # kfp leaves the source of every component behind in the one, and outputs in the other.
        for litter in (temporary, folder / "kfp"):
            shutil.rmtree(litter, ignore_errors=True)
    return json.loads(answers.read_text())


@contextmanager
def _group(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process with all that it starts, none of which outlives the ``with`` block."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # An interrupt first, so that steps can note in MLflow that they were stopped.
        for number, seconds in ((signal.SIGINT, _GRACE_S), (signal.SIGKILL, 2.0)):
            if _stopped(process, number, seconds):
                break
        assert process.stdout is not None
        process.stdout.close()
        process.wait()


def _stopped(process: subprocess.Popen[str], number: signal.Signals, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        return False
    return True


def _follow(output: TextIO, log: TextIO, num_steps: int) -> str:
    """Keep the whole output in the log, show our own lines; returns why the first failure was one.

    On a terminal a bar counts steps, and what a step is at stands beside it.
    """
    said = failure = ""
    with tqdm(total=num_steps, desc="steps", unit="step", dynamic_ncols=True, disable=None) as bar:
        for line in output:
            log.write(line)
            log.flush()
            if error := _ERROR.match(line):
                said = (error["said"] or error["raised"]).strip()
            failed = _STEP_FAILED.search(line)
            if failed and not failure:
                failure = said or f"{failed['step']} failed"
            ours = _OURS.match(line)
            if ours is None:
                continue
            if not bar.disable and _PROGRESS.search(ours["line"]):
                bar.set_postfix_str(ours["line"].partition(" ")[2])
                continue
            tqdm.write(ours["line"], file=sys.stderr)
            if _STEP_DONE.search(ours["line"]):
                bar.set_postfix_str("")
                bar.update()
    return failure
