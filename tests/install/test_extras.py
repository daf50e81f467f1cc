"""What each extra is for works where it alone is installed; elsewhere a command names it."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from itertools import groupby
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from spatialreward.extras import EXTRAS, extra_of, missing_package
from spatialreward.protocol.prompts import TINY
from spatialreward.world.shipped import SHIPPED_BASE
from tests.entries import PACKAGES, ROOT

WITHOUT = Path(__file__).with_name("without.py")
CLI = ("-c", "from spatialreward.cli.main import main; main()")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEFINED = PROJECT["optional-dependencies"]
# As pyproject.toml says now, which need not be what the environment was made with.
REQUIRED_BY_US = [
    *map(Requirement, PROJECT["dependencies"]),
    *(
        Requirement(f"{line}; extra == '{extra}'")
        for extra, lines in DEFINED.items()
        for line in lines
    ),
]
# Bound to a program of others, which is not one of our extras.
FOREIGN = {"spatialreward.client.adapters.flow_factory"}


def modules():
    """Every module of ours that is installed, without the ones that are run."""
    for package in ("components", "pipelines", "spatialreward"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "bench" not in parts and parts[-1] != "__main__":
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    extras: sorted(group)
    for extras, group in groupby(
        sorted(set(modules()) - FOREIGN, key=lambda one: extra_of(one) or ""),
        key=lambda one: extra_of(one) or "",
    )
}


def closure(extras):
    """Names of the distributions that ``spatialreward[extras]`` brings."""
    seen, waiting = set(), {("spatialreward", extra) for extra in ("", *extras)}
    while waiting:
        name, extra = waiting.pop()
        seen.add((name, extra))
        for one in REQUIRED_BY_US if name == "spatialreward" else required_by(name):
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                below = {(canonicalize_name(one.name), more) for more in ("", *one.extras)}
                waiting |= below - seen
    return {name for name, _ in seen}


@cache
def required_by(name):
    try:
        return [Requirement(line) for line in requires(name) or ()]
    except PackageNotFoundError:
        return []


@cache
def owners():
    """Names of the distributions that hold a module, by module; ours are left out."""
    found = packages_distributions().items()
    return {name: set(map(canonicalize_name, of)) for name, of in found if name not in PACKAGES}


def python(extras, *arguments, folder):
    """Python where only these extras are installed."""
    installed = closure(extras)
    hidden = [name for name, of in owners().items() if of.isdisjoint(installed)]
    command = [sys.executable, WITHOUT, json.dumps(hidden), *arguments]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def inputs(tmp_path):
    """The folder of a judge, beside what the commands read."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    line = {"id": "a", "source": "a.png", "edited": "a.png", "instruction": "x"}
    (tmp_path / "edits.jsonl").write_text(json.dumps(line))
    (tmp_path / "edits.toml").write_text('name = "x"\n[source]\nkind = "world"\n')
    checkpoint = tmp_path / "folder"
    # The card of the base says that it does not judge.
    shutil.copytree(SHIPPED_BASE, checkpoint, ignore=shutil.ignore_patterns("card.json"))
    TINY.write(checkpoint)
    return checkpoint


def test_every_extra_that_is_named_is_defined():
    assert {one for extras in EXTRAS.values() for one in extras.split(",")} <= {*DEFINED, ""}


@pytest.mark.parametrize("extras", MODULES)
def test_a_part_can_be_imported_where_its_extras_alone_are_installed(extras, tmp_path):
    code = f"import importlib\nfor name in {MODULES[extras]!r}: importlib.import_module(name)"
    done = python([one for one in extras.split(",") if one], "-c", code, folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_help_needs_no_extra(tmp_path):
    done = python([], *CLI, "judge", "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--endpoint" in done.stdout


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("judge --source a.png --edited a.png --instruction x --model {checkpoint}", "judge"),
        ("judge --source a.png --edited a.png --instruction x --model models:/a@b", "tracking"),
        ("judge --source a.png --edited a.png --instruction x --endpoint localhost:1", "client"),
        (
            "judge --source a.png --edited a.png --instruction x --model openai:m@https://h/v1",
            "chat",
        ),
        ("deploy --model folder --endpoint localhost:1 --repository r", "deployer"),
        ("deploy list --endpoint localhost:1 --repository r", "deployer"),
        ("promote judge --version 7", "tracking"),
        ("demote judge", "tracking"),
        ("deploy check --endpoint localhost:1 --version 7", "deployer"),
        ("deploy watch --backend local --endpoint localhost:1 --repository r", "deployer"),
        ("train base --out base", "training"),
        ("train judge --data d --base shipped --out judge", "training"),
        ("rl train --editor {checkpoint} --judge pixels --out tuned", "editors"),
        (
            "best-of --editor {checkpoint} --judge pixels --source a.png --instruction x --out c",
            "editors",
        ),
        ("data build edits.toml --out data", "data"),
        ("data regions a.png a.png --picture regions.png", "data"),
        ("stack up", "stack"),
        ("stack status", "stack"),
        ("submit --profile tiny --host http://localhost:1", "kubeflow"),
        ("runs list --host http://localhost:1", "kubeflow"),
    ],
)
def test_a_command_says_which_extra_it_lacks(line, extra, inputs):
    words = line.format(checkpoint=inputs).split()
    done = python([], *CLI, *words, folder=inputs.parent)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith(f" is not installed: pip install 'spatialreward[{extra}]'\n")


@pytest.mark.parametrize(
    ("module", "line", "extra"),
    [
        ("pipelines", "compile --profile tiny --out pipeline.yaml", "pipelines"),
        ("pipelines", "run --profile tiny", "deployer,pipelines,training"),
        ("pipelines", "costs RUN", "pipelines"),
        ("components.reward_training", "train-judge --config {{}} --data s3://a/b", "container"),
    ],
)
def test_a_module_says_which_extra_it_lacks(module, line, extra, tmp_path):
    done = python([], "-m", module, *line.format().split(), folder=tmp_path)
    assert done.returncode == 1
    assert f"pip install 'spatialreward[{extra}" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_ours_is_no_package_to_install():
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("spatialreward.client.nosuch")
    assert missing_package(caught.value) is None


def test_a_package_that_no_part_of_ours_asked_for_is_not_explained():
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("nosuch")
    assert missing_package(caught.value) is None
