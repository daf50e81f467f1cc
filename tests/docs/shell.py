"""Command lines of the docs, and what can be found out about one without running it."""

import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from packaging.requirements import Requirement

from tests.entries import CLI, ROOT, RUNNABLE, app_of

BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_OPERATORS = {"&&", "||", "|", ";", "&", "|&"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_STREAM = re.compile(r"(?<=\s)\d(?=[<>])")
_INNER = re.compile(r"\$\(([^()]*)\)")
_SHELL = {"cat", "cd", "deactivate", "echo", "eval", "export", "ls", "mkdir", "sed", "source"}
_STACK_VARIABLES = {
    "MLFLOW_TRACKING_URI": "http://localhost:5000",
    "TRITON_GRPC_URL": "localhost:8001",
    "TRITON_MODEL_REPOSITORY": "models",
}
RUNNABLE_HERE = {*_SHELL, "make", "openssl", "python", "python3", "spatialreward"}
"""Programs that a test may run; ``make`` only says what it would do."""
_KNOWN = {"curl", "docker", "docker-compose", "git", "kubectl", "pip"}


def commands_of(script: str) -> Iterator[list[str]]:
    """The words of each simple command, those inside of ``$(...)`` too, without redirections."""
    for inner in _INNER.findall(script):
        yield from commands_of(inner)
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(_STREAM.sub("", line), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        command: list[str] = []
        skips = False
        for token in [*lexer, ";"]:
            if token in _OPERATORS:
                while command and _ASSIGNMENT.fullmatch(command[0]):
                    command.pop(0)
                if command:
                    yield command
                command = []
            elif token.strip("<>&") == "":
                skips = True
            elif skips:
                skips = False
            else:
                command.append(token)


def program_of(command: list[str]) -> str:
    """The name of what a command runs, without its folder."""
    return command[0].rpartition("/")[2]


def is_run_here(command: list[str]) -> bool:
    """Whether a test may run it: nothing is installed, and nothing outside its folder changed."""
    installs = command[1:2] == ["-m"] and command[2] in {"pip", "venv"}
    return program_of(command) in RUNNABLE_HERE and not installs


def check(command: list[str]) -> None:
    """Find out whether a command is there and takes its arguments; inputs are looked for here.

    Raises:
        AssertionError: it is not there, does not take them, or names what is not there.
    """
    name, words = program_of(command), command[1:]
    match name:
        case "spatialreward":
            check_ours(CLI, words)
        case "python" | "python3":
            _check_python(words)
        case "pip":
            _check_pip(words)
        case "make":
            done = _quiet("make", "-n", *words)
            assert done.returncode == 0, done.stderr
        case "kubectl":
            _check_kubectl(words)
        case "docker" | "docker-compose":
            _check_compose(words if name == "docker-compose" else words[1:])
        case "source":
            assert words == [".venv/bin/activate"], words
        case _:
            assert name in _SHELL | _KNOWN | RUNNABLE_HERE, f"{name}: not a program that is known"


def export(script: str) -> None:
    """Set variables of this process as ``export`` and ``stack env`` in a script do."""
    if "spatialreward stack env" in script:
        os.environ |= _STACK_VARIABLES
    exported = [command[1:] for command in commands_of(script) if command[0] == "export"]
    for word in [word for words in exported for word in words if "=" in word]:
        name, _, value = word.partition("=")
        os.environ[name] = value


def check_ours(module: str, words: list[str]) -> None:
    """Parse a command line of ours, up to where the command would begin.

    Raises:
        AssertionError: there is no such command, or it does not take these arguments.
    """
    app = app_of(module)
    if app is None:
        known = _quiet(sys.executable, "-m", module, "--help").stdout
        unknown = [word for word in words if word.startswith("--") and word not in known]
        assert not unknown, f"{module}: {unknown}: no options of it"
        return
    whole = " ".join([module, *words])
    command: Any = typer.main.get_command(app)
    words = list(words)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
        # What a group puts in, such as `run` after `deploy`.
        words = getattr(command, "with_command", list)(words)
    if words and not words[0].startswith("-"):
        assert not hasattr(command, "commands"), f"{whole}: there is no such command"
    try:
        command.make_context(module, words).close()
    except typer.Exit:
        pass  # of --help and --version
    except Exception as error:
        raise AssertionError(f"{whole}: {error}") from error


def _check_python(words: list[str]) -> None:
    match words:
        case ["-m", "pip", *more]:
            _check_pip(more)
        case ["-m", "venv", folder]:
            assert not folder.startswith("-")
        case ["-m", module, *more]:
            assert module in RUNNABLE, f"python -m {module}: there is no such module"
            check_ours(module, more)
        case ["-c", code]:
            compile(code, "-c", "exec")
        case [file, *_]:
            assert Path(file).is_file(), f"{file}: there is no such file"


def _check_pip(words: list[str]) -> None:
    assert words[0] == "install"
    rest = iter(words[1:])
    for word in rest:
        if word in {"-c", "--constraint"}:
            file = next(rest)
            assert Path(file).is_file(), f"pip install -c {file}: there is no such file"
        elif word not in {"--editable", "-e", "--no-deps", "--upgrade"}:
            assert not word.startswith("-"), f"pip install {word}: not an option that is known"
            wanted = Requirement(f"{PROJECT['name']}{word[1:]}" if word.startswith(".") else word)
            if wanted.name == PROJECT["name"]:
                assert wanted.extras <= set(PROJECT["optional-dependencies"]), wanted


def _check_kubectl(words: list[str]) -> None:
    plain = [word for word in words if not word.startswith("-")]
    options = dict(itertools.pairwise(words))
    if namespace := options.get("-n"):
        plain.remove(namespace)
    done = _quiet(BIN / "kubectl", plain[0], "--help")
    assert f"kubectl {plain[0]}" in done.stdout, f"kubectl {plain[0]}: there is no such command"
    if folder := options.get("-k"):
        _check_kustomization(Path(folder))
    if file := options.get("-f"):
        assert file == "-" or Path(file).is_file(), f"{file}: there is no such file"


def _check_kustomization(folder: Path) -> None:
    settings = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if any("://" in one or one.startswith("github.com/") for one in settings["resources"]):
        return
    done = _quiet(BIN / "kubectl", "kustomize", os.path.realpath(folder))
    assert done.returncode == 0, done.stderr
    assert list(yaml.safe_load_all(done.stdout))


def _check_compose(words: list[str]) -> None:
    known = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    profiles = {name for service in known.values() for name in service.get("profiles", [])}
    options = list(itertools.pairwise(words))
    assert {after for word, after in options if word == "--profile"} <= profiles, words


def _quiet(*command: object) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False)
