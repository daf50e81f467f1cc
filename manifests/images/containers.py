"""Runs images as a cluster does: read-only, without capabilities, with two writable folders."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import NamedTuple

from manifests.images.engine import Engine, Kind
from manifests.images.errors import ImageError
from spatialreward.stack.launch import answers

USER = "10001:10001"
_START_TIMEOUT_S = 300.0
_STOP_TIMEOUT_S = 40.0


class Container(NamedTuple):
    """One container to run."""

    tag: str
    command: Sequence[str]
    entrypoint: str = ""
    """Program to run instead of the image's own."""
    variables: Mapping[str, str] = {}
    volumes: Mapping[str, str] = {}
    """Names of volumes, and where they are mounted."""


def options_of(kind: Kind, container: Container) -> list[str]:
    """Options of ``docker run`` or ``podman run``."""
    options = ["--pull=never", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    # The servers that a step asks are on this machine's loopback interface.
    options += ["--network=host", "--tmpfs=/tmp:mode=1777", "--tmpfs=/work:mode=1777"]
    if kind is Kind.PODMAN:
        # Otherwise it makes more of a read-only container writable than anybody else does.
        options.append("--read-only-tmpfs=false")
    if container.entrypoint:
        options.append(f"--entrypoint={container.entrypoint}")
    options += [f"--env={name}={value}" for name, value in container.variables.items()]
    options += [f"--volume={name}:{place}" for name, place in container.volumes.items()]
    return options


def run(engine: Engine, container: Container, expected_status: int = 0) -> str:
    """Run a container to its end; returns what it wrote, to standard output or else to error.

    Raises:
        ImageError: it failed; says its last words.
    """
    options = options_of(engine.kind, container)
    command = engine.run_command(container.tag, container.command, options)
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != expected_status:
        said = (answer.stderr or answer.stdout).strip().splitlines()[-1:]
        raise ImageError(f"{container.tag}: status {answer.returncode}: {' '.join(said)}")
    return answer.stdout or answer.stderr


@contextmanager
def running(engine: Engine, container: Container, name: str, health_url: str) -> Iterator[None]:
    """A container that serves for the length of a ``with`` block, healthy from its beginning.

    Raises:
        ImageError: it ended, or was not healthy in time; says its last words.
    """
    options = [f"--name={name}", "--shm-size=512m", *options_of(engine.kind, container)]
    command = engine.run_command(container.tag, container.command, options)
    with TemporaryFile("w+") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + _START_TIMEOUT_S
            while not answers(health_url):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    said = log.read().strip().splitlines()[-1:]
                    raise ImageError(f"{container.tag}: is not healthy: {' '.join(said)}")
                time.sleep(0.2)
            yield
        finally:
            stop = [engine.program, "stop", "--time=20", name]
            subprocess.run(stop, capture_output=True, check=False)
            process.wait(_STOP_TIMEOUT_S)


@contextmanager
def volume(engine: Engine, name: str) -> Iterator[str]:
    """A volume that is gone after the ``with`` block.

    Its first container gives it what the image has in that place, the owner too.
    """
    try:
        yield name
    finally:
        remove = [engine.program, "volume", "rm", "--force", name]
        subprocess.run(remove, capture_output=True, check=False)
