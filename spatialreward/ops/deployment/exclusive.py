"""One deployment at a time in a repository, and each of them to its end."""

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from spatialreward.ops.deployment.errors import DeploymentError, SomebodyElseDeploys

LOCK_FILE = ".deployment.lock"


@contextmanager
def exclusive(repository: Path) -> Iterator[None]:
    """Keep other deployments out of a repository; the system ends this when the process ends.

    Raises:
        SomebodyElseDeploys: there is.
        DeploymentError: the repository cannot be written.
    """
    path = repository / LOCK_FILE
    try:
        file = path.open("a+")
    except OSError as error:
        raise DeploymentError(f"{path}: {error.strerror}") from error
    with file:
        _lock(file, path)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        with _sigterm_as_exit():
            yield


def _lock(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read() or "another process"
        raise SomebodyElseDeploys(
            f"{path.parent}: {holder} is deploying there, try again when it is done"
        ) from error


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM, which ends a job or a pod, undo what is half done as an error does.

    A handler of the caller's own stays as it is.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
