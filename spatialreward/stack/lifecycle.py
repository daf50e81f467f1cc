"""Brings a local stack up and takes it down again.

One command at a time works in a state folder. What ``up`` started stays until ``down``; a stack for
the length of a ``with`` block is in ``ownership``.
"""

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import NoReturn

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

from spatialreward.stack.config import Service, StackConfig, StackError, stack_command
from spatialreward.stack.endpoints import (
    FILE_NAME,
    LITTER_NAME,
    Endpoints,
    ProcessIdentity,
    ServiceProcess,
    read_endpoints,
    read_litter,
    write_endpoints,
    write_litter,
)
from spatialreward.stack.launch import Launch, answers
from spatialreward.stack.mlflow_server import BUCKET, launch_mlflow
from spatialreward.stack.ports import free_ports
from spatialreward.stack.processes import (
    blank_out,
    exit_status,
    is_alive,
    last_line,
    spawn,
    stop_all,
)
from spatialreward.stack.seaweedfs import launch_s3
from spatialreward.stack.triton import launch_triton
from spatialreward.storage import ObjectStore, StorageError

log = logging.getLogger(__name__)


def up(config: StackConfig, *, owner: ProcessIdentity | None = None) -> Endpoints:
    """Start the services and wait until each is healthy; a stack that is up is left as it is.

    It first stops what a killed command left running in the same state folder. When a service does
    not start, it stops the others again.

    Args:
        config: what to run, and where.
        owner: the process that will stop the stack; without one it stays until ``down``.

    Raises:
        StackError: a port is taken, a program is missing, a service died or was not healthy in
            time, or the folder's stack belongs to another process or lacks a wanted service.
    """
    config = config.model_copy(update={"state_dir": config.state_dir.absolute()})
    if Service.MLFLOW in config.services and Service.S3 not in config.services:
        raise StackError("mlflow keeps its artifacts in s3: leave both out, or neither")
    with _locked(config.state_dir):
        if running := _usable(config):
            return running
        _clear(config.state_dir)
        try:
            return _start(config, owner)
        except BaseException:
            _clear(config.state_dir)
            raise


def down(state_dir: Path) -> list[Service]:
    """Stop what ``up`` started in a state folder, and nothing else. Data and logs stay.

    Returns:
        The services that were stopped; empty when none ran.
    """
    if not state_dir.is_dir():
        return []
    with _locked(state_dir.absolute()):
        endpoints = read_endpoints(state_dir)
        ran = [p.name for p in endpoints.processes if is_alive(p)] if endpoints else []
        _clear(state_dir.absolute())
        return ran


def _usable(config: StackConfig) -> Endpoints | None:
    """The stack that is up in this folder already, unless it needs a restart."""
    endpoints = read_endpoints(config.state_dir)
    if endpoints is None:
        return None
    if endpoints.owner is not None:
        if is_alive(endpoints.owner):
            raise StackError(
                f"{config.state_dir} is in use by process {endpoints.owner.pid}: "
                "wait for it, or choose another --state-dir"
            )
        log.warning("stopping the stack of process %d, which is gone", endpoints.owner.pid)
        return None
    for process in endpoints.processes:
        if not is_alive(process):
            log.warning("%s had died (log: %s): restarting", process.name, process.log)
            return None
    if missing := [name for name in config.services if name not in endpoints.services]:
        raise StackError(
            f"the stack in {config.state_dir} is up without {', '.join(missing)}: "
            f"first take it down with `{stack_command('down', config.state_dir)}`"
        )
    return endpoints


def _start(config: StackConfig, owner: ProcessIdentity | None) -> Endpoints:
    with free_ports() as free:
        launches, endpoints = _prepare(config, free)
        write_litter(
            [pattern for launch in launches for pattern in launch.litter], config.state_dir
        )
        processes = [
            spawn(
                launch.service, launch.command, launch.environment, launch.folder, config.state_dir
            )
            for launch in launches
        ]
        _wait_until_healthy(launches, processes, config.start_timeout_s)
        for launch, process in zip(launches, processes, strict=True):
            _hide_secrets(launch, process)
    if endpoints.s3:
        _prepare_bucket(endpoints)
    endpoints = endpoints.model_copy(update={"processes": tuple(processes), "owner": owner})
    write_endpoints(endpoints, config.state_dir)
    return endpoints


def _prepare(config: StackConfig, free: Iterator[int]) -> tuple[list[Launch], Endpoints]:
    """Check everything that can be checked before the first process is started."""
    launches: list[Launch] = []
    s3 = mlflow = triton = None
    if Service.S3 in config.services:
        launch, s3 = launch_s3(config, free)
        launches.append(launch)
    if Service.MLFLOW in config.services and s3 is not None:
        launch, mlflow = launch_mlflow(config, free, s3)
        launches.append(launch)
    if Service.TRITON in config.services:
        launch, triton = launch_triton(config, free)
        launches.append(launch)
    return launches, Endpoints(s3=s3, mlflow=mlflow, triton=triton)


def _wait_until_healthy(
    launches: Sequence[Launch], processes: Sequence[ServiceProcess], timeout_s: float
) -> None:
    def problem() -> str:
        for launch, process in zip(launches, processes, strict=True):
            if not answers(launch.health_url):
                said = f"{last_line(process.log)} (log: {process.log})"
                if not is_alive(process):
                    how = exit_status(process)
                    raise StackError(f"{launch.service} {how} while starting: {said}")
                return f"{launch.service} was not healthy within {timeout_s:g} s: {said}"
        return ""

    def give_up(state: RetryCallState) -> NoReturn:
        assert state.outcome is not None
        raise StackError(state.outcome.result())

    patient = Retrying(
        retry=retry_if_result(bool),
        wait=wait_fixed(0.1),
        stop=stop_after_delay(timeout_s),
        retry_error_callback=give_up,
    )
    patient(problem)
    log.info("%s: healthy", ", ".join(launch.service for launch in launches))


def _hide_secrets(launch: Launch, process: ServiceProcess) -> None:
    for secret in launch.secrets:
        try:
            blank_out(process, secret)
        except OSError as error:
            log.warning(
                "%s: its key stays in its command line, which all users of this machine can read: "
                "%s",
                launch.service,
                error.strerror,
            )


def _prepare_bucket(endpoints: Endpoints) -> None:
    assert endpoints.s3 is not None
    store = ObjectStore(endpoints.s3.endpoint_url, endpoints.s3.access_key, endpoints.s3.secret_key)
    try:
        store.ensure_bucket(BUCKET)
    except StorageError as error:
        raise StackError(f"s3 is up but does not take a bucket: {error}") from error


def _clear(state_dir: Path) -> None:
    """Stop what still runs for this folder; remove its files outside and the endpoints file."""
    try:
        endpoints = read_endpoints(state_dir)
    except StackError as error:
        log.warning("%s", error)
        endpoints = None
    stop_all(state_dir, endpoints.processes if endpoints else ())
    for pattern in read_litter(state_dir):
        for name in glob(pattern):
            Path(name).unlink(missing_ok=True)
    for name in (FILE_NAME, LITTER_NAME):
        (state_dir / name).unlink(missing_ok=True)


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    """Let one command at a time work in a state folder; the lock goes with its process."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackError(f"state folder {state_dir}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
