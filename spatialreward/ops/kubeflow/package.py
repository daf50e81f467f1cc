"""A compiled pipeline: its name, its parameters, its steps, and a version name from its content."""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import FiniteFloat, Json, TypeAdapter, ValidationError

from spatialreward.errors import InvalidInputError

MAX_BYTES = 32 * 2**20
"""Largest package that the API server takes."""
_HASH_LETTERS = 12
_TYPES: dict[str, Any] = {
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": FiniteFloat,
    "BOOLEAN": bool,
    "LIST": Json[list[Any]],
    "STRUCT": Json[dict[str, Any]],
}


class Step(NamedTuple):
    """A task of a container."""

    key: str
    """Its name on the server."""
    name: str
    """Its name for people."""


class Package(NamedTuple):
    """A compiled pipeline."""

    content: bytes
    """YAML."""
    spec: Mapping[str, Any]
    """Its first document, the ``PipelineSpec``."""
    sha256: str
    """Of the content, however it is laid out."""

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
        return self.spec["root"].get("inputDefinitions", {}).get("parameters", {})


def read_package(path: Path) -> Package:
    """Read a compiled pipeline.

    Raises:
        InvalidInputError: there is no such file, or it is none; names it.
    """
    import yaml

    try:
        content = path.read_bytes()
        documents = [one for one in yaml.safe_load_all(content) if one is not None]
    except OSError as error:
        raise InvalidInputError(f"package {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"package {path}: no YAML: {error}") from error
    if len(content) > MAX_BYTES:
        raise InvalidInputError(
            f"package {path}: {len(content)} bytes, the server takes {MAX_BYTES} at most"
        )
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
    # The server puts a specification one level deeper beside settings of the platform.
    spec = spec.get("pipeline_spec", spec)
    if not _is_pipeline(spec):
        return []
    found: dict[str, Step] = {}
    for step in _steps_in(spec["root"]["dag"], spec.get("components", {})):
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
        try:
            values[name] = TypeAdapter(_TYPES.get(kind, str)).validate_python(value)
        except ValidationError as error:
            raise InvalidInputError(f"--param {text}: expected a {kind}, got {value!r}") from error
    for name, one in package.parameters.items():
        if name not in values and "defaultValue" not in one and not one.get("isOptional"):
            raise InvalidInputError(f"{package.name} needs --param {name}=VALUE")
    return values


def _is_pipeline(spec: Any) -> bool:
    try:
        return bool(spec["pipelineInfo"]["name"]) and isinstance(spec["root"]["dag"], Mapping)
    except (TypeError, KeyError, IndexError):
        return False


def _steps_in(dag: Mapping[str, Any], components: Mapping[str, Any]) -> Iterator[Step]:
    tasks = dag.get("tasks", {})
    before = {key: sorted(tasks[key].get("dependentTasks", ())) for key in sorted(tasks)}
    for key in TopologicalSorter(before).static_order():
        component = components.get(tasks[key].get("componentRef", {}).get("name"), {})
        if "dag" in component:
            yield from _steps_in(component["dag"], components)
        else:
            yield Step(key, tasks[key].get("taskInfo", {}).get("name") or key)
