import os
import time

import psutil
import pytest

from spatialreward.stack import Service
from spatialreward.stack.processes import exit_status, is_alive, last_line, spawn, stop_all

PATH = {"PATH": os.environ["PATH"]}


@pytest.fixture
def start(tmp_path):
    def start_script(script, service=Service.S3):
        return spawn(service, ["sh", "-c", script], PATH, tmp_path, tmp_path)

    yield start_script
    stop_all(tmp_path)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_stopping_finds_orphans_and_kills_what_ignores_sigterm(start, tmp_path):
    deaf = start("trap '' TERM; echo up; while :; do sleep 0.05; done")
    parent = start("sleep 100 & echo $!", Service.MLFLOW)
    wait_for(lambda: not is_alive(parent) and deaf.log.read_text())
    orphan = int(last_line(parent.log))
    assert psutil.pid_exists(orphan)
    stop_all(tmp_path)
    assert not is_alive(deaf)
    assert not psutil.pid_exists(deaf.pid)
    wait_for(lambda: not psutil.pid_exists(orphan))


def test_stopping_leaves_the_processes_of_another_stack_alone(start, tmp_path):
    mine = start("exec sleep 100")
    stop_all(tmp_path / "other")
    assert is_alive(mine)


def test_an_ended_process_says_how_it_ended(start):
    process = start("echo disk is on fire; exit 3")
    wait_for(lambda: not is_alive(process))
    assert (exit_status(process), last_line(process.log)) == (
        "ended with status 3",
        "disk is on fire",
    )
