"""Profiles: what a pipeline is run with, as a sparse TOML over typed defaults.

A profile says only what is different. Everything that can be wrong with it is said in one line that
names the file and the key, before anything starts.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.settings import VARIANTS, Profile
from spatialreward.errors import InvalidInputError
from spatialreward.reading import read_toml_file
from spatialreward.validation import Problem, first_problem

FOLDER = Path(__file__).parent / "profiles"


def load_profile(name: str, overrides: Sequence[str] = (), corpus: Path | None = None) -> Profile:
    """Read a profile and what is to be different from it.

    Args:
        name: a profile that comes with the pipeline, or a TOML file.
        overrides: ``KEY=VALUE``, such as ``rl.num_steps=3``; a later one wins.
        corpus: TOML that says how to build the data, in place of the profile's ``[data]``.

    Raises:
        InvalidInputError: the file or a key is unknown, or a value is not allowed; names both.
    """
    path = _find(name)
    given = read_toml_file(path)
    where = dict.fromkeys(_keys(given), str(path))
    if corpus is not None:
        change = {"data": {"kind": "corpus", "corpus": read_toml_file(corpus)}}
        given |= change
        where |= dict.fromkeys(_keys(change), str(corpus))
    for override in overrides:
        change = _parse_override(override)
        given = _merged(given, change, lambda _place, _kind: {})
        where |= dict.fromkeys(_keys(change), f"--set {override}")
    settings = _merged(Profile().model_dump(mode="json"), given, _defaults_of)
    try:
        return Profile.model_validate(settings)
    except ValidationError as error:
        problem = first_problem(error, Profile, settings)
        raise InvalidInputError(_explain(problem, where, str(path))) from error


def names() -> list[str]:
    """The profiles that come with the pipeline."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _find(name: str) -> Path:
    if name in names():
        return FOLDER / f"{name}.toml"
    path = Path(name)
    if not path.is_file():
        known = ", ".join(names())
        raise InvalidInputError(f"profile {name}: expected one of {known}, or a TOML file")
    return path


def _parse_override(text: str) -> dict[str, Any]:
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
    of_kind: Callable[[str, str], dict[str, Any]],
    place: str = "",
) -> dict[str, Any]:
    """One table over another, table by table; where ``kind`` differs, over that of the new kind."""
    kind = above.get("kind")
    if isinstance(kind, str) and kind != below.get("kind", kind):
        below = of_kind(place, kind)
    result = dict(below)
    for name, value in above.items():
        covered = result.get(name)
        inner = f"{place}.{name}".removeprefix(".")
        nested = isinstance(value, Mapping) and isinstance(covered, Mapping)
        result[name] = _merged(covered, value, of_kind, inner) if nested else value
    return result


def _defaults_of(place: str, kind: str) -> dict[str, Any]:
    variant = VARIANTS.get((place, kind))
    if variant is None or any(field.is_required() for field in variant.model_fields.values()):
        return {}
    return variant().model_dump(mode="json")


def _explain(problem: Problem, where: Mapping[str, str], default: str) -> str:
    """One line about what is wrong, with the file or the override that says so."""
    place = next((where[key] for key in _with_parents(problem.key) if key in where), default)
    return f"{place}: {problem}"


def _with_parents(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def _keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")
