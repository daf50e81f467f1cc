"""A compiled pipeline: its name, its parameters, its steps, and a version name from its content."""

import difflib
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spatialreward.errors import InvalidInputError

MAX_BYTES = 32 * 2**20
"""What the API server takes of one package."""
_HASH_LETTERS = 12
_TRUTHS = {"true": True, "false": False}


class Step(NamedTuple):
    """A task that a container does."""

    key: str
    """How the server calls it."""
    name: str
    """How people call it."""


class Package(NamedTuple):
    """A compiled pipeline."""

    content: bytes
    """YAML."""
    spec: Mapping[str, Any]
    """Its first document, the ``PipelineSpec``."""
    sha256: str
    """Of what it says, however it is laid out."""

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def version_name(self) -> str:
        """The same for the same content by the same version of the library."""
        library = re.sub(r"[^a-z0-9.]+", "-", version("spatialreward").lower())
        return f"{library}-{self.sha256[:_HASH_LETTERS]}"

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Parameters of a run, by name."""
        root = self.spec["root"]
        return root.get("inputDefinitions", {}).get("parameters", {})


def read_package(path: Path) -> Package:
    """Read a compiled pipeline.

    Raises:
        InvalidInputError: there is no such file, or it is none; names it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"package {path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise InvalidInputError(
            f"package {path}: {len(content)} bytes, the server takes {MAX_BYTES} at most"
        )
    try:
        documents = [one for one in yaml.safe_load_all(content) if one is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"package {path}: no YAML: {error}") from error
    spec = documents[0] if documents else None
    if not _is_pipeline(spec):
        raise InvalidInputError(
            f"package {path}: no compiled pipeline, expected pipelineInfo.name and root.dag; "
            "make one with `python -m pipelines compile`"
        )
    said = json.dumps(documents, sort_keys=True, default=str).encode()
    return Package(content, spec, hashlib.sha256(said).hexdigest())


def steps_of(spec: Mapping[str, Any]) -> list[Step]:
    """The steps of a pipeline, each after those that it waits for; those of a loop once."""
    # A specification that the server hands back lies one level deeper when settings of the
    # platform came with it.
    spec = spec.get("pipeline_spec", spec)
    if not _is_pipeline(spec):
        return []
    found: dict[str, Step] = {}
    for step in _steps_in(spec["root"]["dag"], spec.get("components", {}), depth=0):
        found.setdefault(step.key, step)
    return list(found.values())


def parse_parameters(package: Package, given: Sequence[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` as the types that the pipeline declares.

    Raises:
        InvalidInputError: the pipeline has no such parameter, or it is of another type.
    """
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidInputError(f"--param {text}: expected NAME=VALUE")
        if name not in package.parameters:
            near = difflib.get_close_matches(name, package.parameters, n=1)
            known = ", ".join(package.parameters) or "none"
            hint = f"did you mean {near[0]}?" if near else f"it has: {known}"
            raise InvalidInputError(f"--param {text}: {package.name} has no {name}, {hint}")
        kind = package.parameters[name].get("parameterType", "STRING")
        values[name] = _typed(value, kind, text)
    missing = [
        name
        for name, one in package.parameters.items()
        if name not in values and "defaultValue" not in one and not one.get("isOptional")
    ]
    if missing:
        raise InvalidInputError(f"{package.name} needs --param {missing[0]}=VALUE")
    return values


def _typed(value: str, kind: str, text: str) -> Any:
    try:
        match kind:
            case "NUMBER_INTEGER":
                return int(value)
            case "NUMBER_DOUBLE":
                return _finite(float(value))
            case "BOOLEAN":
                return _TRUTHS[value.lower()]
            case "LIST" | "STRUCT":
                parsed = json.loads(value)
                if not isinstance(parsed, list if kind == "LIST" else dict):
                    raise ValueError(kind)
                return parsed
            case _:
                return value
    except (ValueError, KeyError) as error:
        raise InvalidInputError(f"--param {text}: expected a {kind}, got {value!r}") from error


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def _is_pipeline(spec: Any) -> bool:
    return (
        isinstance(spec, Mapping)
        and isinstance(spec.get("pipelineInfo"), Mapping)
        and bool(spec["pipelineInfo"].get("name"))
        and isinstance(spec.get("root"), Mapping)
        and isinstance(spec["root"].get("dag"), Mapping)
    )


def _steps_in(dag: Mapping[str, Any], components: Mapping[str, Any], depth: int) -> Iterator[Step]:
    tasks = dag.get("tasks", {})
    for key in _in_order(tasks):
        component = components.get(tasks[key].get("componentRef", {}).get("name"), {})
        # No pipeline is as deep as that; one that refers to itself is none.
        if "dag" in component and depth < len(components):
            yield from _steps_in(component["dag"], components, depth + 1)
        elif "dag" not in component:
            yield Step(key, tasks[key].get("taskInfo", {}).get("name") or key)


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Keys so that each comes after those that it depends on; else by how deep, then by name."""
    depths: dict[str, int] = {}

    def depth(key: str, above: frozenset[str]) -> int:
        if key not in depths:
            waits_for = [one for one in tasks[key].get("dependentTasks", ()) if one in tasks]
            further = [depth(one, above | {key}) for one in waits_for if one not in above]
            depths[key] = 1 + max(further, default=-1)
        return depths[key]

    return sorted(tasks, key=lambda key: (depth(key, frozenset({key})), key))
