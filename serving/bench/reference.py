"""Starts the re-created reference server and calls it like its own client."""

import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from spatialreward.edits import Edit
from spatialreward.stack.ports import LOOPBACK, free_ports

_START_TIMEOUT_S = 120.0


@contextmanager
def running_reference(judge: Path, log: Path) -> Iterator[str]:
    """A reference server in a separate process; yields its address.

    Raises:
        RuntimeError: it does not start.
    """
    with free_ports() as free:
        port = next(free)
    command = [sys.executable, "-m", "serving.bench.reference_server", "--judge", str(judge)]
    with log.open("w") as file:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=file, stderr=file)
    try:
        url = f"http://{LOOPBACK}:{port}/"
        _wait(process, url, log)
        yield url
    finally:
        process.terminate()
        process.wait()


def ask_reference(url: str, edits: Sequence[Edit]) -> None:
    """Judge one group.

    Raises:
        requests.RequestException: the server did not answer.
    """
    payload = {
        "input_images": [[edit.source] for edit in edits],
        "output_image": [edit.edited for edit in edits],
        "meta_data": [{"instruction": edit.instruction} for edit in edits],
    }
    response = requests.post(url, data=pickle.dumps(payload), timeout=600)
    response.raise_for_status()
    assert len(pickle.loads(response.content)) == len(edits)


def _wait(process: subprocess.Popen, url: str, log: Path) -> None:
    until = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            requests.get(url + "ready", timeout=5).raise_for_status()
        except requests.RequestException:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the reference server did not start: see {log}") from None
            time.sleep(0.2)
        else:
            return
