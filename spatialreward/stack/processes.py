"""Starts the processes of a stack and stops them, all of them and no others.

Every process of a stack carries the stack's state folder in its environment, and so do its
children: that finds them when their parent was killed before it could note their numbers. Noted
processes are recognised by number and start time.
"""

import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from spatialreward.openmp import WAIT_ASLEEP
from spatialreward.stack.config import Service, StackError
from spatialreward.stack.endpoints import ProcessIdentity, ServiceProcess

MARK = "SPATIALREWARD_STACK"
SERVICE_MARK = "SPATIALREWARD_STACK_SERVICE"
_GRACE_S = {
    # SeaweedFS itself waits 15 s for streams that it holds open; what it has acknowledged is in
    # its files by then, also when it is killed.
    Service.S3: 1.0,
    Service.MLFLOW: 5.0,
    Service.TRITON: 8.0,
}
_UNKNOWN_GRACE_S = 2.0
_children: dict[int, psutil.Popen] = {}


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
            child = psutil.Popen(
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
    return ServiceProcess(
        name=service, pid=child.pid, create_time=child.create_time(), log=log_path
    )


def blank_out(process: ProcessIdentity, secret: str) -> None:
    """Overwrite a word of a process's command line, which all users of the machine can read.

    For a program that takes a secret in no other way; it must have read its options by now. Written
    by hand because psutil reads command lines and changes none.

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


def stop_all(state_dir: Path, noted: Sequence[ServiceProcess] = ()) -> None:
    """Stop every process of a stack: terminate, wait as long as its service may take, kill."""
    members = _members(state_dir, noted)
    by_grace: dict[float, list[psutil.Process]] = defaultdict(list)
    for process in members:
        with suppress(psutil.Error):
            service = process.environ().get(SERVICE_MARK, "")
            by_grace[_GRACE_S.get(service, _UNKNOWN_GRACE_S)].append(process)
            # A server stops its own children best; orphans need a signal of their own.
            if process.parent() not in members:
                process.terminate()
    asked = time.monotonic()
    for grace_s in sorted(by_grace):
        psutil.wait_procs(by_grace[grace_s], max(0.0, asked + grace_s - time.monotonic()))
        _kill(by_grace[grace_s])
    # What survived, and children that were born while their parents were stopping.
    while late := _members(state_dir, noted):
        _kill(late)
        psutil.wait_procs(late, timeout=1.0)
    for pid in [pid for pid, child in _children.items() if child.poll() is not None]:
        del _children[pid]


def _members(state_dir: Path, noted: Iterable[ServiceProcess]) -> set[psutil.Process]:
    """Noted processes with their descendants, and all that carry the stack's mark."""
    members = {process for process in map(_find, noted) if process is not None}
    for process in tuple(members):
        with suppress(psutil.NoSuchProcess):
            members.update(process.children(recursive=True))
    mark = _mark(state_dir)
    for process in psutil.process_iter(["environ"]):
        # None: it has ended, or belongs to another user.
        if (process.info["environ"] or {}).get(MARK) == mark:
            members.add(process)
    members.discard(psutil.Process())
    return members


def _find(identity: ProcessIdentity) -> psutil.Process | None:
    try:
        process = psutil.Process(identity.pid)
        # The start time moves a little when the machine's clock is set.
        same = abs(process.create_time() - identity.create_time) < 2.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _mark(state_dir: Path) -> str:
    return str(state_dir.resolve())
