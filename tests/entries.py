"""Every program of this repository, found by itself: modules with a main, and their commands."""

import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

import spatialreward

ROOT = Path(spatialreward.__file__).parents[1]
PACKAGES = ("components", "manifests", "pipelines", "serving", "spatialreward")
CLI = "spatialreward.cli.main"
"""Where the program ``spatialreward`` is; it is a script, not a module to run."""
_MAIN = 'if __name__ == "__main__":'


def _module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__main__" else parts)


RUNNABLE = sorted(
    _module_of(path)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if _MAIN in path.read_text(encoding="utf-8")
)
"""What stands after ``python -m``."""


@cache
def app_of(module: str) -> typer.Typer | None:
    """A module's application; None if it parses its arguments by itself."""
    path = ROOT / module.replace(".", "/")
    name, file = module, path.with_suffix(".py")
    if path.is_dir():
        name, file = f"{module}.__main__", path / "__main__.py"
    if "\napp = " not in file.read_text(encoding="utf-8"):
        return None
    return importlib.import_module(name).app


def commands_below(command: Any) -> Iterator[tuple[str, ...]]:
    """The words that name each command: of groups, too, and of the command itself none."""
    yield ()
    for name, further in getattr(command, "commands", {}).items():
        yield from ((name, *words) for words in commands_below(further))


COMMANDS = [
    (module, words)
    for module in (CLI, *RUNNABLE)
    if (app := app_of(module))
    for words in commands_below(typer.main.get_command(app))
]
"""Each command of each application."""
