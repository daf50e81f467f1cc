import os
import re
import subprocess
from pathlib import Path

import psutil
import pytest

from pipelines.graph import run_graph
from spatialreward.openmp import WAIT_ASLEEP, wait_asleep
from spatialreward.stack import Service
from spatialreward.stack.processes import spawn

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("said", "expected"), [(None, "0"), ("7", "7")])
def test_threads_wait_asleep_unless_the_user_says_otherwise(monkeypatch, said, expected):
    if said is None:
        monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    else:
        monkeypatch.setenv("GOMP_SPINCOUNT", said)
    wait_asleep()
    assert os.environ["GOMP_SPINCOUNT"] == expected


@pytest.mark.parametrize(("given", "expected"), [({}, "0"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_servers_of_the_stack_are_started_so(tmp_path, given, expected):
    process = spawn(Service.S3, ["env"], {"PATH": os.environ["PATH"]} | given, tmp_path, tmp_path)
    # A process says its environment itself: the system shows an empty one while it starts.
    psutil.wait_procs([psutil.Process(process.pid)], timeout=60)
    assert f"GOMP_SPINCOUNT={expected}" in process.log.read_text().splitlines()


def test_steps_of_the_pipeline_are_started_so(tmp_path, monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    started = []

    class Started(Exception):
        pass

    def popen(command, **options):
        started.append(options["env"])
        raise Started

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(Started):
        run_graph(tmp_path / "pipeline.yaml", {}, tmp_path / "run", {}, 1)
    [environment] = started
    assert environment["GOMP_SPINCOUNT"] == "0"


@pytest.mark.parametrize("path", ["components/base.Dockerfile", "serving/Dockerfile"])
def test_images_say_so_too(path):
    text = (ROOT / path).read_text()
    for name, value in WAIT_ASLEEP.items():
        assert re.search(rf"^\s+{name}={value}\b", text, re.MULTILINE)


def test_so_does_what_make_runs():
    assert "export GOMP_SPINCOUNT ?= 0\n" in (ROOT / "Makefile").read_text()
