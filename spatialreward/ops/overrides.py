"""Settings of a command: what is usual, over it a TOML file, over that ``--set KEY=VALUE``."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.reading import read_toml_file
from spatialreward.records import Record
from spatialreward.validation import Problem, first_problem

Settings = TypeVar("Settings", bound=Record)
DefaultsOf = Callable[[str], dict[str, Any]]
"""The usual settings of a variant, by its ``kind``; empty where it has none."""


def read_over(
    usual: Settings,
    path: Path | None,
    overrides: Sequence[str] = (),
    defaults_of: DefaultsOf = lambda _kind: {},
) -> Settings:
    """Read what is to be different from the usual settings.

    Args:
        usual: the settings that hold where nothing else is said.
        path: a TOML file, or none.
        overrides: ``KEY=VALUE``, such as ``rl.num_steps=3``; a later one wins.
        defaults_of: of a variant that is chosen instead of the usual one.

    Raises:
        InvalidInputError: the file or a key is unknown, or a value is not allowed; names both.
    """
    given = {} if path is None else read_toml_file(path)
    where = dict.fromkeys(_keys(given), str(path))
    for override in overrides:
        change = _parse(override)
        given = _merged(given, change, lambda _kind: {})
        where |= dict.fromkeys(_keys(change), f"--set {override}")
    settings = _merged(usual.model_dump(mode="json"), given, defaults_of)
    try:
        return type(usual).model_validate(settings)
    except ValidationError as error:
        problem = first_problem(error, type(usual), settings)
        raise InvalidInputError(_explain(problem, where, path)) from error


def _parse(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidInputError(f"--set {text}: expected KEY=VALUE, such as rl.num_steps=3")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        # Words need no quotes on a command line.
        parsed = value
    change: dict[str, Any] = {}
    table = change
    *parents, last = key.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
    table[last] = parsed
    return change


def _merged(
    below: Mapping[str, Any], above: Mapping[str, Any], defaults_of: DefaultsOf
) -> dict[str, Any]:
    """One table over another, table by table; where ``kind`` differs, over that of the new kind."""
    kind = above.get("kind")
    if isinstance(kind, str) and kind != below.get("kind", kind):
        below = defaults_of(kind)
    result = dict(below)
    for name, value in above.items():
        covered = result.get(name)
        nested = isinstance(value, Mapping) and isinstance(covered, Mapping)
        result[name] = _merged(covered, value, defaults_of) if nested else value
    return result


def _explain(problem: Problem, where: Mapping[str, str], path: Path | None) -> str:
    """One line about what is wrong, with the file or the override that says so."""
    place = next((where[key] for key in _with_parents(problem.key) if key in where), None)
    told = place or (None if path is None else str(path))
    return str(problem) if told is None else f"{told}: {problem}"


def _with_parents(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def _keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")
