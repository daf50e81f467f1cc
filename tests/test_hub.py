"""In a process of its own: the hub's address is read when its library is imported."""

import os
import subprocess
import sys

import pytest

from tests.hub_server import SHA, running_hub

PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="LOG %(message)s", stream=sys.stdout)
from spatialreward.errors import SpatialRewardError
from spatialreward.hub import JUDGE, fetch_from_hub
for name in sys.argv[1:]:
    try:
        print("GOT", sorted(path.name for path in fetch_from_hub(name, JUDGE).iterdir()))
    except SpatialRewardError as error:
        print(type(error).__name__, error)
"""
FILES = ["config.json", "merges.txt", "model.safetensors"]


@pytest.fixture
def fetch(tmp_path):
    def run(url, *names):
        environment = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "cache")}
        environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *names], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        return [line for line in lines if line.startswith("LOG hub:") or line[:4] != "LOG "]

    return run


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in (*FILES, "modeling.py", "pytorch_model.bin"):
        (folder / name).write_text("{}")
    return folder


def test_the_files_of_a_judge_are_fetched_once_and_no_code(fetch, model):
    with running_hub("some/model", model) as (url, asked):
        assert fetch(url, f"hub:some/model@{SHA}", f"hub:some/model@{SHA}") == [f"GOT {FILES}"] * 2
        resolved = {path.rpartition("/")[2] for path in asked if "/resolve/" in path}
        assert resolved == set(FILES)
        num_asked = len([path for path in asked if "/resolve/" in path])
        fetch(url, f"hub:some/model@{SHA}")
        assert len([path for path in asked if "/resolve/" in path]) == num_asked


def test_without_a_revision_the_commit_is_logged(fetch, model):
    with running_hub("some/model", model) as (url, _):
        messages = fetch(url, "hub:some/model", "hub:some/model@main")
    assert messages == [
        f"LOG hub:some/model is now hub:some/model@{SHA}",
        f"GOT {FILES}",
        f"GOT {FILES}",
    ]


def test_what_the_hub_does_not_have_is_named(fetch, model):
    names = ("hub:some/model@gone", "hub:other/model", "hub:model", "hub:a/b@", "hub:a/../b")
    with running_hub("some/model", model) as (url, _):
        gone, other, *malformed = fetch(url, *names)
    assert gone == "InvalidInputError judge hub:some/model@gone: the hub has no such revision"
    assert other.startswith("InvalidInputError judge hub:other/model: the hub has no such model")
    for name, line in zip(names[2:], malformed, strict=True):
        assert line == f"InvalidInputError judge {name}: expected hub:OWNER/NAME@REVISION"


def test_a_hub_that_cannot_be_reached_is_reported_from_a_wrong_name(fetch):
    for line in fetch("http://127.0.0.1:9", "hub:some/model", f"hub:some/model@{SHA}"):
        assert line.startswith("HubError judge hub:some/model")
