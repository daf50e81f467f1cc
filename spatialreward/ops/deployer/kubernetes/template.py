"""The objects of one version, made of a template that knows no version."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployer.kubernetes.api import Kind, Object
from spatialreward.ops.registry import ModelVersion

VERSION_LABEL = "spatialreward.dev/model-version"
MODEL_URI = "MODEL_URI"
MODEL_VERSION = "$(MODEL_VERSION)"
"""Stands for the version's number in a template, such as in a query of its own metrics."""
PAUSED = "autoscaling.keda.sh/paused-replicas"
"""Annotation of a KEDA ScaledObject that keeps it from starting servers."""


def version_name(service: str, version: int) -> str:
    """What a version's objects are called, such as ``judge-v7``."""
    return f"{service}-v{version}"


def read_template(path: Path, service: str) -> list[Object]:
    """The documents of a template.

    Raises:
        InvalidInputError: it cannot be read, a document is no object of that name, or no container
            fetches a model.
    """
    import yaml

    try:
        documents = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    for number, document in enumerate(documents, start=1):
        where = f"{path}, document {number}"
        if not isinstance(document, dict) or not {"apiVersion", "kind"} <= document.keys():
            raise InvalidInputError(f"{where}: is no Kubernetes object")
        name = document.get("metadata", {}).get("name")
        if name != service:
            raise InvalidInputError(f"{where}: metadata.name: expected {service!r}, got {name!r}")
    if not any(True for document in documents for _ in _model_uris(document)):
        raise InvalidInputError(f"{path}: no container has the variable {MODEL_URI}")
    return documents


def documents_of(template: list[Object], service: str, model: ModelVersion) -> list[Object]:
    """The objects of a version: named after it, labelled with it, with its model to fetch."""
    label = {VERSION_LABEL: str(model.version)}
    made = [_numbered(document, model.version) for document in template]
    for document in made:
        document["metadata"]["name"] = version_name(service, model.version)
        for labels in _labels(document):
            labels |= label
        target = document.get("spec", {}).get("scaleTargetRef")
        if target and target.get("name") == service:
            target["name"] = version_name(service, model.version)
        for variable in _model_uris(document):
            variable.clear()
            variable.update(name=MODEL_URI, value=model.uri)
    return made


def asleep(document: Object) -> Object | None:
    """An object of a version that is kept without servers; None: it cannot be, remove it."""
    sleeping = copy.deepcopy(document)
    match document["kind"]:
        case "Deployment":
            sleeping["spec"]["replicas"] = 0
        case "ScaledObject":
            sleeping["metadata"].setdefault("annotations", {})[PAUSED] = "0"
        case "InferenceService":
            return None
    return sleeping


def kinds_of(template: list[Object]) -> list[Kind]:
    """The kinds of objects that every version consists of."""
    return list(dict.fromkeys(Kind.of(document) for document in template))


def _numbered(part: Any, version: int) -> Any:
    """A copy of a document, or of a part of one, with the version's number where it belongs."""
    match part:
        case dict():
            return {key: _numbered(value, version) for key, value in part.items()}
        case list():
            return [_numbered(value, version) for value in part]
        case str():
            return part.replace(MODEL_VERSION, str(version))
    return part


def _labels(document: Object) -> Iterator[dict[str, str]]:
    """Every place of a document that says whose an object is."""
    yield document["metadata"].setdefault("labels", {})
    spec = document.get("spec", {})
    match document["kind"]:
        case "Service":
            yield spec.setdefault("selector", {})
        case "Deployment":
            yield spec.setdefault("selector", {}).setdefault("matchLabels", {})
            yield spec["template"].setdefault("metadata", {}).setdefault("labels", {})


def _model_uris(document: Object) -> Iterator[dict[str, object]]:
    """The variable that says which model to fetch, of every container of a document."""
    spec = document.get("spec", {})
    pods = [spec.get("template", {}).get("spec", {}), spec.get("predictor", {})]
    for pod in pods:
        for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
            for variable in container.get("env", []):
                if variable.get("name") == MODEL_URI:
                    yield variable
