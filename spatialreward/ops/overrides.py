"""Settings of a command: what is usual, over it TOML files, over those ``--set KEY=VALUE``."""

import functools
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from pydantic import ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.reading import read_toml_file
from spatialreward.records import Record
from spatialreward.validation import Problem, first_problem, is_choice

Settings = TypeVar("Settings", bound=Record)
DefaultsOf = Callable[[str, str], dict[str, Any]]
"""The usual settings of a variant, by its place and its ``kind``; of a table that is not there
usually, by its place and an empty kind. Empty where there are none."""


def _no_defaults(_place: str, _kind: str) -> dict[str, Any]:
    return {}


class Table(NamedTuple):
    """Settings that say only what is different, and where they stand."""

    where: str
    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        """A TOML file.

        Raises:
            InvalidInputError: the file cannot be read, or is no TOML; names it.
        """
        return cls(str(path), read_toml_file(path))


def settings_over(
    usual: Settings,
    tables: Sequence[Table],
    overrides: Sequence[str] = (),
    defaults_of: DefaultsOf = _no_defaults,
) -> Settings:
    """The usual settings with what is different from them.

    Args:
        usual: the settings that hold where nothing else is said.
        tables: a later one wins.
        overrides: ``KEY=VALUE``, such as ``rl.num_steps=3``; they win over tables, a later one
            over an earlier one.
        defaults_of: of a variant that is chosen instead of the usual one.

    Raises:
        InvalidInputError: a key is unknown, or a value is not allowed; names key and place.
    """
    changes = [*tables, *(Table(f"--set {one}", _parse(one)) for one in overrides)]
    merged = functools.partial(_merged, record=type(usual))
    given: dict[str, Any] = {}
    where: dict[str, str] = {}
    for change in changes:
        given = merged(given, change.values, _no_defaults)
        where |= dict.fromkeys(_keys(change.values), change.where)
    settings = merged(usual.model_dump(mode="json"), given, defaults_of)
    try:
        return type(usual).model_validate(settings)
    except ValidationError as error:
        problem = first_problem(error, type(usual), settings)
        raise InvalidInputError(_explain(problem, where, changes)) from error


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
    below: Mapping[str, Any],
    above: Mapping[str, Any],
    defaults_of: DefaultsOf,
    place: tuple[str, ...] = (),
    *,
    record: type[Record],
) -> dict[str, Any]:
    """One table over another, table by table.

    Where ``kind`` chooses another record, over that one's defaults; elsewhere it is a setting.
    """
    kind = above.get("kind")
    if isinstance(kind, str) and kind != below.get("kind", kind) and is_choice(record, place):
        below = defaults_of(".".join(place), kind)
    result = dict(below)
    for name, value in above.items():
        covered = result.get(name)
        if covered is None and isinstance(value, Mapping):
            covered = defaults_of(".".join((*place, name)), "")
        nested = isinstance(value, Mapping) and isinstance(covered, Mapping)
        result[name] = (
            _merged(covered, value, defaults_of, (*place, name), record=record) if nested else value
        )
    return result


def _explain(problem: Problem, where: Mapping[str, str], changes: Sequence[Table]) -> str:
    """One line about what is wrong, with the file or the override that says so."""
    place = next((where[key] for key in _with_parents(problem.key) if key in where), "")
    if not place and changes:
        place = changes[0].where
    return f"{place}: {problem}" if place else str(problem)


def _with_parents(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def _keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")
