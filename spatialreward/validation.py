"""Reports invalid settings in one line that names the key as the user wrote it.

pydantic locates a problem by its own path: names of a union's members and tags stand between the
keys, and a value that fits no member of a union is reported once for each. This module follows the
path through the record's types, keeps only the keys, and reports the one member of a union that
the value was meant for.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_LONGEST_VALUE = 80
_SHOULD_BE = "Input should be "
_IN_WORDS = {
    "tuple_type": f"{_SHOULD_BE}a list",
    "list_type": f"{_SHOULD_BE}a list",
    "set_type": f"{_SHOULD_BE}a list",
    "frozen_set_type": f"{_SHOULD_BE}a list",
    "dict_type": f"{_SHOULD_BE}a table of keys and values",
    "mapping_type": f"{_SHOULD_BE}a table of keys and values",
    "model_type": f"{_SHOULD_BE}a table of keys and values",
    "model_attributes_type": f"{_SHOULD_BE}a table of keys and values",
}
_OF_ANOTHER_TYPE = ("_type", "_parsing", "literal_error", "none_required", "enum")
"""Endings of the errors which mean that the value belongs to another member of the union."""
_WITHOUT_VALUE = ("missing", "value_error", "assertion_error", "json_invalid")


class Problem(NamedTuple):
    """The first problem in a set of settings."""

    key: str
    """Dotted path; empty if the settings as a whole are at fault."""
    message: str

    def __str__(self) -> str:
        """Key and reason in one line."""
        return f"{self.key}: {self.message}" if self.key else self.message


def first_problem(error: ValidationError, kind: type[BaseModel], given: Any = None) -> Problem:
    """The problem that a user should fix first.

    Args:
        error: raised by validating ``given`` as ``kind``.
        kind: the record.
        given: the validated value: the table of a TOML file, an object of JSON, keyword arguments;
            None if unavailable.
    """
    found = [
        _Fault(one, _follow(one["loc"], kind, given))
        for one in error.errors(include_url=False, include_context=False)
    ]
    faults = _meant(found, 0)
    if len(faults) == 1 and (misspelt := _misspelt(faults[0], found)):
        faults = [misspelt]
    key = ".".join(faults[0].place.keys)
    match faults:
        case [fault] if fault.kind == "extra_forbidden":
            return Problem(key, _unknown_key(fault.place, kind))
        case [fault] if fault.kind in ("union_tag_not_found", "union_tag_invalid"):
            return _wrong_tag(fault)
    return Problem(key, _all_said(faults) + _got(faults[0]))


def is_choice(kind: type[BaseModel], keys: Sequence[str]) -> bool:
    """Whether a place holds one of several records, selected by one of their keys.

    Args:
        kind: the outermost record.
        keys: the place in it, such as ``["judge", "base"]``.
    """
    types: list[Any] = [kind]
    for key in keys:
        records = [one for each in types for one in _records(each)]
        types = [field for one in records if (field := _field(one, key))]
    return any(isinstance(one, _Choice) for each in types for one in _members(each))


def _records(kind: Any) -> list[type[BaseModel]]:
    """The records that a type may be."""
    found: list[type[BaseModel]] = []
    for one in _members(kind):
        if isinstance(one, _Choice):
            found += one.variants.values()
        elif isinstance(one, type) and issubclass(one, BaseModel):
            found.append(one)
    return found


class _Choice(NamedTuple):
    """A union whose members are selected by one of their keys, such as ``kind``."""

    key: str
    variants: dict[str, type[BaseModel]]
    tag: str = ""
    """Tag of the selected member."""


class _Place(NamedTuple):
    keys: tuple[str, ...]
    record: type[BaseModel] | None
    """The record that has the last key, or lacks it."""
    choice: _Choice | None
    """The union that ``record`` is a member of, or that the path ends at."""
    labels: tuple[int, ...]
    """Positions in pydantic's path that name members of plain unions."""


class _Fault(NamedTuple):
    error: Mapping[str, Any]
    place: _Place

    @property
    def kind(self) -> str:
        return self.error["type"]

    def is_of_another_type(self, label: int) -> bool:
        """Whether the value as a whole does not fit the member named at ``label``."""
        return len(self.error["loc"]) == label + 1 and self.kind.endswith(_OF_ANOTHER_TYPE)


def _meant(faults: Sequence[_Fault], depth: int) -> list[_Fault]:
    """The first fault; in a union, that of the member which the value was meant for.

    Several if the value fits no member.
    """
    first = faults[0]
    if len(first.place.labels) <= depth:
        return [first]
    label = first.place.labels[depth]
    members: dict[Any, list[_Fault]] = {}
    for one in faults:
        path = one.error["loc"]
        if len(path) > label and path[:label] == first.error["loc"][:label]:
            members.setdefault(path[label], []).append(one)
    near = [
        found
        for found in members.values()
        if not any(one.is_of_another_type(label) for one in found)
    ]
    if near:
        return _meant(min(near, key=len), depth + 1)
    return [found[0] for found in members.values()]


def _misspelt(fault: _Fault, found: Sequence[_Fault]) -> _Fault | None:
    """The unknown key that was meant for a missing one."""
    *parents, name = fault.place.keys or ("",)
    if fault.kind != "missing":
        return None
    unknown = {
        one.place.keys[-1]: one
        for one in found
        if one.kind == "extra_forbidden" and [*one.place.keys[:-1]] == parents
    }
    near = difflib.get_close_matches(name, unknown, n=1)
    return unknown[near[0]] if near else None


def _follow(path: Sequence[int | str], kind: type[BaseModel], given: Any) -> _Place:
    """Resolve pydantic's path, part by part."""
    keys: list[str] = []
    labels: list[int] = []
    record: type[BaseModel] | None = None
    choice: _Choice | None = None
    types: list[Any] = [kind]
    for index, part in enumerate(path):
        types = [bare for one in types for bare in _members(one)]
        if tagged := next((one for one in types if isinstance(one, _Choice)), None):
            choice = tagged._replace(tag=str(part))
            types = [tagged.variants[part]] if part in tagged.variants else []
            continue
        if len(types) > 1 and index - 1 not in labels:
            labels.append(index)
            continue
        if part == "[key]":
            continue
        owner, types = _inside(types, part)
        if isinstance(part, int) and not isinstance(given, list | tuple | None):
            # A validator wrapped one value in a list; the user wrote no index.
            continue
        if owner is not record or owner is None:
            choice = choice if choice and owner in choice.variants.values() else None
        record = owner
        keys.append(str(part))
        given = _value_at(given, part)
    ends_at = next((one for kind in types for one in _members(kind)), None)
    if isinstance(ends_at, _Choice):
        choice = ends_at
    return _Place(tuple(keys), record, choice, tuple(labels))


def _members(kind: Any) -> list[Any]:
    """A type without annotations: a union's members, and a union with tags as a ``_Choice``.

    Skips None, which pydantic does not name in paths.
    """
    discriminator = None
    if isinstance(kind, FieldInfo):
        discriminator, kind = kind.discriminator, kind.annotation
    while get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
        for note in notes:
            discriminator = getattr(note, "discriminator", None) or discriminator
    if get_origin(kind) not in (Union, UnionType):
        return [kind]
    members = [one for one in get_args(kind) if one is not NoneType]
    if isinstance(discriminator, str):
        return [_Choice(discriminator, _variants(members, discriminator))]
    return [bare for one in members for bare in _members(one)]


def _variants(members: Sequence[Any], key: str) -> dict[str, type[BaseModel]]:
    records = [one for one in members if isinstance(one, type) and issubclass(one, BaseModel)]
    return {
        tag: record
        for record in records
        if get_origin(record.model_fields[key].annotation) is Literal
        for tag in get_args(record.model_fields[key].annotation)
    }


def _inside(types: Sequence[Any], part: int | str) -> tuple[type[BaseModel] | None, list[Any]]:
    """The record that has a key, if the type is one, and the types of the value there."""
    records = [one for one in types if isinstance(one, type) and issubclass(one, BaseModel)]
    for record in records:
        if field := _field(record, part):
            return record, [field]
    for one in types:
        origin, arguments = get_origin(one), get_args(one)
        if not isinstance(origin, type) or not arguments:
            continue
        if issubclass(origin, Mapping):
            return None, [arguments[1]]
        if isinstance(part, int) and issubclass(origin, Sequence | set | frozenset):
            own = [one for one in arguments if one is not Ellipsis]
            return None, [own[min(part, len(own) - 1)]]
    return (records[0] if records else None), []


def _field(record: type[BaseModel], name: int | str) -> FieldInfo | None:
    by_alias = (one for one in record.model_fields.values() if one.alias == name)
    return record.model_fields.get(str(name)) or next(by_alias, None)


def _value_at(given: Any, part: int | str) -> Any:
    try:
        return given[part]
    except (LookupError, TypeError):
        return None


def _unknown_key(place: _Place, kind: type[BaseModel]) -> str:
    *parents, name = place.keys
    key = ".".join(place.keys)
    if place.choice:
        tags = [tag for tag, one in place.choice.variants.items() if _field(one, name)]
        if tags:
            which = " or ".join(f'"{tag}"' for tag in tags)
            discriminator = place.choice.key
            whole = ".".join([*parents, discriminator])
            return (
                f'belongs to {discriminator} = {which}, and {discriminator} is "{place.choice.tag}"'
                f": set {whole} = {which}"
            )
    own = list(place.record.model_fields) if place.record else []
    everything = set(_keys_of(kind)) - {key}
    near = [".".join([*parents, one]) for one in difflib.get_close_matches(name, own, n=1)]
    # In TOML a key that follows the heading of a table belongs to it.
    near += sorted(
        (one for one in everything if one.rpartition(".")[2] == name),
        key=lambda one: (one.count("."), one),
    )
    return f"no such key, did you mean {near[0]}?" if near else "no such key"


def _wrong_tag(fault: _Fault) -> Problem:
    choice = fault.place.choice
    assert choice is not None, "pydantic looked for a tag"
    key = ".".join([*fault.place.keys, choice.key])
    expected = ", ".join(f'"{tag}"' for tag in choice.variants)
    given = fault.error["input"]
    tag = _value_at(given, choice.key)
    if tag is None:
        fitting = [
            tag
            for tag, record in choice.variants.items()
            if isinstance(given, Mapping) and all(_field(record, name) for name in given)
        ]
        hint = f', did you mean "{fitting[0]}"?' if len(fitting) == 1 and given else ""
        return Problem(key, f"missing, expected one of {expected}{hint}")
    near = difflib.get_close_matches(str(tag), choice.variants, n=1)
    hint = f', did you mean "{near[0]}"?' if near else ""
    return Problem(key, f"expected one of {expected}, got {_short(tag)}{hint}")


def _keys_of(kind: Any, prefix: str = "", above: tuple[Any, ...] = ()) -> Iterator[str]:
    """Dotted keys of every field in a record, in any member of its unions."""
    for one in _members(kind):
        if isinstance(one, _Choice):
            inner: Sequence[Any] = list(one.variants.values())
        elif isinstance(one, type) and issubclass(one, BaseModel):
            if one in above:
                continue
            for name, field in one.model_fields.items():
                yield f"{prefix}{name}"
                yield from _keys_of(field, f"{prefix}{name}.", (*above, one))
            continue
        else:
            origin = get_origin(one)
            # Keys of a mapping are the user's own.
            is_list = isinstance(origin, type) and issubclass(origin, Sequence)
            inner = get_args(one) if is_list else ()
        for member in inner:
            yield from _keys_of(member, prefix, above)


def _all_said(faults: Sequence[_Fault]) -> str:
    said = dict.fromkeys(_said(one) for one in faults)
    if len(said) > 1 and all(one.startswith(_SHOULD_BE) for one in said):
        return _SHOULD_BE + " or ".join(one.removeprefix(_SHOULD_BE) for one in said)
    return "; or ".join(said)


def _said(fault: _Fault) -> str:
    message = fault.error["msg"]
    for prefix in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    return _IN_WORDS.get(fault.kind, message)


def _got(fault: _Fault) -> str:
    """The given value, unless it adds nothing or is secret."""
    value = fault.error["input"]
    if fault.kind in _WITHOUT_VALUE or isinstance(value, Mapping | list | tuple):
        return ""
    place = fault.place
    field = _field(place.record, place.keys[-1]) if place.record and place.keys else None
    return "" if field is not None and not field.repr else f", got {_short(value)}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:
        # Python writes no integers of more than 4,300 digits.
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
