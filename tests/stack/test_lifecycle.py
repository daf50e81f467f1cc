import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from spatialreward.stack import (
    Ports,
    Service,
    StackConfig,
    StackError,
    down,
    environment,
    read_endpoints,
    running_stack,
    status,
    up,
)

ONLY_S3 = frozenset({Service.MLFLOW, Service.TRITON})


@pytest.fixture
def only_s3(tmp_path):
    config = StackConfig(state_dir=tmp_path / "stack", without=ONLY_S3)
    yield config
    down(config.state_dir)


@pytest.fixture(scope="module")
def whole_stack(tmp_path_factory):
    with running_stack(StackConfig(state_dir=tmp_path_factory.mktemp("whole"))) as endpoints:
        yield endpoints


def test_every_service_is_healthy_once_the_stack_is_up(whole_stack):
    state_dir = whole_stack.processes[0].log.parents[1]
    services = {one.service: one for one in status(state_dir)}
    assert set(services) == set(Service)
    assert all(one.healthy for one in services.values())


def test_triton_serves_no_model_before_one_is_deployed(whole_stack):
    request = urllib.request.Request(
        f"http://{whole_stack.triton.http}/v2/repository/index",
        data=b"{}",
        headers={"key": whole_stack.triton.repository_key},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert json.load(response) == []


def test_the_environment_names_every_service(whole_stack):
    variables = environment(whole_stack)
    assert variables["S3_ENDPOINT_URL"] == whole_stack.s3.endpoint_url
    assert variables["MLFLOW_TRACKING_URI"] == whole_stack.mlflow.tracking_uri
    assert variables["TRITON_GRPC_URL"] == whole_stack.triton.grpc
    assert "127.0.0.1" in variables["NO_PROXY"]


def test_the_endpoints_file_is_for_its_owner_only(only_s3):
    up(only_s3)
    path = only_s3.state_dir / "endpoints.json"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_up_finds_the_stack_as_it_is(only_s3):
    assert up(only_s3) == up(only_s3)


def test_down_stops_what_up_started_and_nothing_else(only_s3, tmp_path):
    other = StackConfig(state_dir=tmp_path / "other", without=ONLY_S3)
    with running_stack(other) as others:
        mine = up(only_s3)
        assert down(only_s3.state_dir) == [Service.S3]
        assert not psutil.pid_exists(mine.processes[0].pid)
        assert psutil.pid_exists(others.processes[0].pid)
    assert read_endpoints(only_s3.state_dir) is None
    assert down(only_s3.state_dir) == []


def test_a_taken_port_is_named_and_nothing_is_started(only_s3):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        config = only_s3.model_copy(update={"ports": Ports(s3=port)})
        with pytest.raises(StackError, match=f"port {port} for s3 is taken by process"):
            up(config)
    assert read_endpoints(only_s3.state_dir) is None


def test_a_missing_program_is_named(only_s3, tmp_path):
    config = only_s3.model_copy(update={"weed": tmp_path / "weed"})
    with pytest.raises(StackError, match=r"weed is not a program"):
        up(config)


def test_a_missing_environment_for_triton_says_how_to_name_one(only_s3, tmp_path):
    config = only_s3.model_copy(
        update={
            "without": frozenset({Service.MLFLOW, Service.S3}),
            "triton_python": tmp_path / "python",
        }
    )
    with pytest.raises(StackError, match="--triton-python"):
        up(config)


def test_a_service_that_ends_while_starting_is_told_with_its_last_words(only_s3, tmp_path):
    fake = tmp_path / "weed"
    fake.write_text("#!/bin/sh\necho disk is on fire\nexit 3\n")
    fake.chmod(0o755)
    config = only_s3.model_copy(update={"weed": fake})
    with pytest.raises(StackError, match=r"s3 ended with status 3 .*disk is on fire"):
        up(config)
    assert read_endpoints(only_s3.state_dir) is None


def test_a_service_that_died_is_not_healthy_and_the_next_up_starts_it_anew(only_s3):
    first = up(only_s3)
    psutil.Process(first.processes[0].pid).kill()
    # A killed process stops answering a moment before it is gone.
    wait_until(lambda: status(only_s3.state_dir)[0].detail.startswith("died: "))
    assert not status(only_s3.state_dir)[0].healthy
    assert up(only_s3).processes[0].pid != first.processes[0].pid


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_owner_leaves_nothing_running(tmp_path, stop):
    state_dir = tmp_path / "stack"
    owner = start_owner(state_dir)
    pid = read_endpoints(state_dir).processes[0].pid
    owner.send_signal(stop)
    assert owner.wait(timeout=30) != 0
    assert not psutil.pid_exists(pid)
    assert read_endpoints(state_dir) is None


def test_what_a_killed_owner_left_is_stopped_by_the_next_up(only_s3):
    owner = start_owner(only_s3.state_dir)
    left = read_endpoints(only_s3.state_dir).processes[0].pid
    owner.kill()
    owner.wait()
    assert psutil.pid_exists(left)
    up(only_s3)
    wait_until(lambda: not psutil.pid_exists(left))


def start_owner(state_dir: Path) -> subprocess.Popen:
    """A process of its own that runs a stack until it is stopped."""
    program = f"""
        import time
        from pathlib import Path
        from spatialreward.stack import Service, StackConfig, running_stack
        without = frozenset({{Service.MLFLOW, Service.TRITON}})
        with running_stack(StackConfig(state_dir=Path({str(state_dir)!r}), without=without)):
            time.sleep(300)
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    wait_until(lambda: (state_dir / "endpoints.json").exists())
    return owner


def wait_until(holds, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
