"""Profiles: sparse TOML over typed defaults.

A profile has only the differences. Any fault is reported in one line with file and key, before
anything starts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.settings import VARIANTS, Profile
from spatialreward.errors import InvalidInputError
from spatialreward.ops.overrides import Table, settings_over
from spatialreward.reading import read_toml_file

FOLDER = Path(__file__).parent / "profiles"


def load_profile(name: str, overrides: Sequence[str] = (), corpus: Path | None = None) -> Profile:
    """Read a profile with its overrides.

    Args:
        name: a built-in profile, or a TOML file.
        overrides: ``KEY=VALUE``, such as ``rl.num_steps=3``; a later one wins.
        corpus: TOML of the data's build, replaces the profile's ``[data]``.

    Raises:
        InvalidInputError: the file or a key is unknown, or a value is invalid; names both.
    """
    table = Table.read(_find(name))
    tables = [table]
    if corpus is not None:
        others = {key: value for key, value in table.values.items() if key != "data"}
        data = {"kind": "corpus", "corpus": read_toml_file(corpus)}
        tables = [Table(table.where, others), Table(str(corpus), {"data": data})]
    return settings_over(Profile(), tables, overrides, _defaults_of)


def names() -> list[str]:
    """The built-in profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _find(name: str) -> Path:
    if name in names():
        return FOLDER / f"{name}.toml"
    path = Path(name)
    if not path.is_file():
        known = ", ".join(names())
        raise InvalidInputError(f"profile {name}: expected one of {known}, or a TOML file")
    return path


def _defaults_of(place: str, kind: str) -> dict[str, Any]:
    variant = VARIANTS.get((place, kind))
    if variant is None or any(field.is_required() for field in variant.model_fields.values()):
        return {}
    return variant().model_dump(mode="json")
