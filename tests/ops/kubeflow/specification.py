"""The published specification of the API, as the generated package ``kfp-server-api`` carries it.

The package itself passes over fields that it does not know and types that do not fit; here both are
an error, so that nothing passes in a test that the specification does not have.
"""

import datetime
import functools
import re
from typing import Any, NamedTuple

import kfp_server_api
from kfp_server_api import models

_LIST = re.compile(r"list\[(.+)\]")
_DICT = re.compile(r"dict\(str, (.+)\)")
_PARAMETER = re.compile(r":param (\w+): ?(.*)\n\s+:type \1: (\S+)")
_RESULT = re.compile(r":rtype: (\S+)")
_OWN = {"async_req"}


class BrokenSpecification(AssertionError):
    """Something was sent, or answered, that the specification does not have."""


class Operation(NamedTuple):
    """What may be sent to one operation, and what it answers."""

    query: frozenset[str]
    body: str
    """Name of the type; empty for none."""
    answer: str


@functools.cache
def operation(name: str, path: str) -> Operation:
    """An operation of the specification.

    Args:
        name: such as ``RunServiceApi.run_service_get_run``.
        path: with ``{parameters}``, which are not part of the query.
    """
    api, method = name.split(".")
    text = getattr(getattr(kfp_server_api, api), method).__doc__
    parameters = {match[1]: match[3] for match in _PARAMETER.finditer(text) if match[1] not in _OWN}
    in_path = set(re.findall(r"{(\w+)}", path))
    bodies = [one for one, kind in parameters.items() if hasattr(models, kind)]
    query = set(parameters) - in_path - set(bodies) - {"uploadfile"}
    body = parameters[bodies[0]] if bodies else ""
    return Operation(frozenset(query), body, _RESULT.search(text)[1])


def check(value: Any, kind: str, where: str) -> None:
    """Make sure that a value is what the specification says.

    Raises:
        BrokenSpecification: it is not; says where.
    """
    if match := _LIST.fullmatch(kind):
        _expect(isinstance(value, list), where, kind, value)
        for number, one in enumerate(value):
            check(one, match[1], f"{where}[{number}]")
    elif match := _DICT.fullmatch(kind):
        _expect(isinstance(value, dict), where, kind, value)
        for name, one in value.items():
            check(one, match[1], f"{where}.{name}")
    elif kind in _SIMPLE:
        _expect(_SIMPLE[kind](value), where, kind, value)
    else:
        _check_model(value, getattr(models, kind), where)


def _check_model(value: Any, model: Any, where: str) -> None:
    allowed = getattr(model, "allowable_values", None)
    if allowed is not None:
        _expect(value in allowed, where, f"one of {allowed}", value)
        return
    _expect(isinstance(value, dict), where, model.__name__, value)
    kinds = {key: model.openapi_types[name] for name, key in model.attribute_map.items()}
    if model is models.ProtobufAny:
        return
    for name, one in value.items():
        _expect(name in kinds, f"{where}.{name}", f"a field of {model.__name__}", one)
        check(one, kinds[name], f"{where}.{name}")


def _expect(holds: bool, where: str, wanted: str, value: Any) -> None:
    if not holds:
        raise BrokenSpecification(f"{where}: expected {wanted}, got {value!r}")


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and datetime.datetime.fromisoformat(value).tzinfo is not None


_SIMPLE = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, (int, float)),
    "object": lambda value: True,
    "datetime": _is_time,
}
