"""What the check of a command line finds, that is not run."""

import os

import pytest

from tests.docs.shell import check, commands_of, export, is_run_here
from tests.entries import ROOT


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_commands_are_told_apart():
    script = 'a b && c "d; e" | f >g 2>&1 &\nX=1 h "$(i j)" # k\nexport L=$(m n)\n'
    assert list(commands_of(script)) == [
        ["i", "j"],
        ["m", "n"],
        ["a", "b"],
        ["c", "d; e"],
        ["f"],
        ["h", "$(i j)"],
        ["export", "L=$(m", "n)"],
    ]


def test_exported_variables_are_set():
    export("export A=b C=$(d)\necho E=f")
    assert os.environ["A"] == "b"
    assert os.environ["C"] == "$(d)"
    assert "E" not in os.environ


@pytest.mark.parametrize(
    "line",
    [
        "spatialreward judge --edits a.jsonl --endpoint a:1",
        "spatialreward --version",
        ".venv/bin/python -m pipelines validate --profile tiny",
        "python3 -m venv .venv",
        "pip install -c constraints.txt '.[client,judge]'",
        "make test VARIANT=cuda",
        "kubectl -n a rollout status deployment/b",
        "kubectl apply -k manifests/overlays/gpu",
        "docker compose --profile cpu up --detach",
        "source .venv/bin/activate",
    ],
)
def test_what_is_there_passes(line):
    (command,) = commands_of(line)
    check(command)


@pytest.mark.parametrize(
    "line",
    [
        "spatialreward judge --nosuch",
        "spatialreward nosuch",
        "spatialreward deploy --endpoint a:1",
        "python -m pipelines validate",
        "python -m pipelines validate --profile tiny --nosuch 1",
        "python -m nosuch",
        "python nosuch.py",
        "python -m manifests.cluster_secrets --nosuch",
        "pip install -c nosuch.txt torch",
        "pip install '.[nosuch]'",
        "make nosuch",
        "kubectl nosuch",
        "kubectl apply -f nosuch.yaml",
        "kubectl apply -k manifests/nosuch",
        "docker compose --profile nosuch up",
        "nosuch --help",
    ],
)
def test_what_is_not_there_fails(line):
    (command,) = commands_of(line)
    with pytest.raises((AssertionError, OSError), match=r"nosuch|deploy|validate"):
        check(command)


@pytest.mark.parametrize("line", ["pip install a", "python3 -m venv a", "docker run a", "kubectl"])
def test_what_reaches_beyond_a_folder_is_not_run(line):
    (command,) = commands_of(line)
    assert not is_run_here(command)
    assert is_run_here(["python", "-m", "pipelines"])
