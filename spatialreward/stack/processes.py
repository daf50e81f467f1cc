"""Starts the processes of a stack and stops them, all of them and no others.

Every process of a stack carries the stack's state folder in its environment, and so do its
children: that is how they are found when their parent was killed before it could note their
numbers. Processes that were noted are recognised by number and start time.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from spatialreward.openmp import WAIT_ASLEEP
from spatialreward.stack.config import Service, StackError
from spatialreward.stack.endpoints import ProcessIdentity, ServiceProcess

log = logging.getLogger(__name__)

MARK = "SPATIALREWARD_STACK"
SERVICE_MARK = "SPATIALREWARD_STACK_SERVICE"
_GRACE_S = {
    # SeaweedFS waits 15 s for streams that it holds open itself; what it has acknowledged is
    # in its files by then, also when it is killed.
    Service.S3: 1.0,
    Service.MLFLOW: 5.0,
    Service.TRITON: 8.0,
}
_children: dict[int, subprocess.Popen[bytes]] = {}


def spawn(
    service: Service,
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    state_dir: Path,
) -> ServiceProcess:
    """Start a service in a session of its own, so that a terminal's Ctrl-C does not reach it.

    Raises:
        StackError: its binary cannot be started.
    """
    log_path = state_dir / "logs" / f"{service}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log_file:
        try:
            child = subprocess.Popen(
                command,
                env={**WAIT_ASLEEP, **environment, MARK: _mark(state_dir), SERVICE_MARK: service},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # SeaweedFS's sockets in /tmp ask for no certificate: their mode guards them.
                umask=0o077,
            )
        except OSError as error:
            raise StackError(f"{service}: cannot run {command[0]}: {error.strerror}") from error
    _children[child.pid] = child
    created = psutil.Process(child.pid).create_time()
    return ServiceProcess(name=service, pid=child.pid, create_time=created, log=log_path)


def blank_out(process: ProcessIdentity, secret: str) -> None:
    """Overwrite a word of a process's command line, which all users of the machine can read.

    For a program that takes a secret in no other way; it must have read its options by now.

    Raises:
        OSError: the system does not let this process write there.
    """
    proc = Path(f"/proc/{process.pid}")
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    # The 48th and 49th field of proc(5): where the arguments begin and end. The first two are gone.
    start, end = int(fields[45]), int(fields[46])
    with (proc / "mem").open("r+b", buffering=0) as memory:
        memory.seek(start)
        arguments = memory.read(end - start)
        memory.seek(start)
        memory.write(arguments.replace(secret.encode(), b"*" * len(secret.encode())))


def identity_of_this_process() -> ProcessIdentity:
    """Identify the running process."""
    this = psutil.Process()
    return ProcessIdentity(pid=this.pid, create_time=this.create_time())


def is_alive(identity: ProcessIdentity) -> bool:
    """Tell whether this very process still runs; a zombie does not."""
    return _find(identity) is not None


def exit_status(process: ServiceProcess) -> str:
    """Describe how a process ended, as far as that is known to this process."""
    child = _children.get(process.pid)
    code = child.poll() if child else None
    if code is None:
        return "is not running"
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"


def last_line(path: Path) -> str:
    """Return the last line of a log that says something, shortened to fit a message."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:240] if said else "it said nothing"


def stop_all(state_dir: Path, noted: Iterable[ServiceProcess] = ()) -> list[int]:
    """Stop every process of a stack: ask, wait, kill. Returns the numbers of those that ran."""
    running = _members(state_dir, noted)
    sessions = {process.pid: _session(process) for process in running}
    now = time.monotonic()
    deadlines: dict[int, float] = {}
    for process in running:
        service = _environment(process).get(SERVICE_MARK, "")
        deadlines[process.pid] = now + _GRACE_S.get(service, 2.0)
        # A server stops its own children better than we could; orphans have to be asked.
        session = sessions[process.pid]
        if session == process.pid or session not in sessions:
            _signal(process, signal.SIGTERM)
    while alive := [process for process in running if _runs(process)]:
        for process in alive:
            if time.monotonic() >= deadlines[process.pid]:
                _signal(process, signal.SIGKILL)
        time.sleep(0.05)
    # Children that were born while their parents were being stopped.
    while late := _members(state_dir, []):
        for process in late:
            _signal(process, signal.SIGKILL)
        time.sleep(0.05)
    _reap()
    return list(deadlines)


def _members(state_dir: Path, noted: Iterable[ServiceProcess]) -> list[psutil.Process]:
    """Noted processes with their descendants, and all that carry the stack's mark."""
    found: dict[int, psutil.Process] = {}
    for identity in noted:
        if process := _find(identity):
            found[process.pid] = process
            try:
                found |= {child.pid: child for child in process.children(recursive=True)}
            except psutil.NoSuchProcess:
                log.debug("process %d ended meanwhile", process.pid)
    mark = _mark(state_dir)
    for process in psutil.process_iter():
        if process.pid not in found and _environment(process).get(MARK) == mark and _runs(process):
            found[process.pid] = process
    found.pop(os.getpid(), None)
    return list(found.values())


def _find(identity: ProcessIdentity) -> psutil.Process | None:
    try:
        process = psutil.Process(identity.pid)
        # The start time moves a little when the machine's clock is set.
        same = abs(process.create_time() - identity.create_time) < 2.0
    except psutil.Error:
        return None
    return process if same and _runs(process) else None


def _runs(process: psutil.Process) -> bool:
    if child := _children.get(process.pid):
        child.poll()
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _mark(state_dir: Path) -> str:
    return str(state_dir.resolve())


def _environment(process: psutil.Process) -> dict[str, str]:
    """Environment that a process was started with; empty when it ended or is another user's."""
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return process.pid


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        log.debug("process %d ended meanwhile", process.pid)


def _reap() -> None:
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            del _children[pid]
