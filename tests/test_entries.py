"""``--help`` explains and does nothing else; a mistyped option is met with the usage."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tests.entries import CLI, COMMANDS, PACKAGES, ROOT, RUNNABLE, app_of

HEAVY = ("torch", "transformers", "mlflow", "matplotlib", "tritonclient")
_IMPORTED = re.compile(r"^import time: .*\| +(\S+)$", re.MULTILINE)
_ALL_HELP = """
import sys
import typer
from tests.entries import COMMANDS, app_of
for name, words in COMMANDS:
    typer.main.get_command(app_of(name)).main([*words, "--help"], standalone_mode=False)
print(sorted(set(sys.argv[1:]) & set(sys.modules)), file=sys.stderr)
"""
each_module = pytest.mark.parametrize("module", RUNNABLE)
each_command = pytest.mark.parametrize(
    ("module", "words"), COMMANDS, ids=lambda one: one if isinstance(one, str) else " ".join(one)
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the code: some programs write beside it."""
    folder = tmp_path_factory.mktemp("checkout")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


@pytest.fixture
def run(checkout, tmp_path):
    """Runs a module of the copy in an empty folder, and looks what has changed."""

    def files():
        return {
            path: path.stat().st_mtime_ns
            for folder in (checkout, tmp_path)
            for path in folder.rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }

    def run(module, *arguments):
        before = files()
        command = [sys.executable, "-X", "importtime", "-m", module, *arguments]
        environment = os.environ | {"PYTHONPATH": str(checkout), "COLUMNS": "200"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert files() == before
        return done

    return run


def test_there_are_programs_to_look_at():
    assert {"pipelines", "manifests.compose_env", "serving.bench", "pipelines.local"} <= {*RUNNABLE}
    assert (CLI, ("stack", "up")) in COMMANDS


@each_module
def test_a_module_explains_itself_and_writes_nothing(run, module):
    done = run(module, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {module} " in done.stdout.strip().replace("Usage", "usage")
    assert set(HEAVY).isdisjoint(_IMPORTED.findall(done.stderr))


@each_module
def test_a_module_meets_an_unknown_option_with_its_usage(run, module):
    done = run(module, "--nosuch")
    assert done.returncode == 2
    assert f"python -m {module} " in _IMPORTED.sub("", done.stderr)
    assert "Traceback" not in done.stderr


@each_command
def test_a_command_explains_itself_and_writes_nothing(tmp_path, monkeypatch, module, words):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app_of(module), [*words, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage: " in result.stdout
    assert list(tmp_path.iterdir()) == []


@each_command
def test_a_command_meets_an_unknown_option_with_its_usage(tmp_path, monkeypatch, module, words):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app_of(module), [*words, "--nosuch"])
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "No such option: --nosuch" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_no_command_loads_anything_heavy():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _ALL_HELP, *HEAVY, "kfp"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
