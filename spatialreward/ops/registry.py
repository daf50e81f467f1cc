"""The model registry in MLflow: versions of a model, their aliases and tags.

A version's source is the reference of an artifact, ``s3://BUCKET/PREFIX#sha256=HEX``: its files
stay where the training has stored them, and MLflow holds no copy.

Aliases, not stages: ``candidate`` is the newest version, ``champion`` the one that passed its gate
and is served, ``previous`` the champion before it. ``promotion`` moves the latter two.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spatialreward.artifacts import ArtifactRef, DocumentRef
from spatialreward.benchmarks.report import EvaluationReport, ReportError, load_report
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.logged_models import find_or_make
from spatialreward.ops.tracking import TrackingError, connect
from spatialreward.storage import ObjectStore

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as StoredVersion

EVALUATION_TAG = "evaluation"
"""Reference of the version's evaluation report. Other tags repeat its figures for people."""
CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
_MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


class ModelVersion(NamedTuple):
    """One version of a registered model."""

    name: str
    version: int

    @property
    def uri(self) -> str:
        """``models:/NAME/VERSION``."""
        return f"models:/{self.name}/{self.version}"


class Registered(NamedTuple):
    """What the registry says of one version."""

    model: ModelVersion
    tags: Mapping[str, str]
    source: str
    """Where its files are."""

    @property
    def artifact(self) -> ArtifactRef:
        """Its files in the object store.

        Raises:
            InvalidInputError: its source is no artifact, such as a copy that MLflow holds.
        """
        try:
            return ArtifactRef.parse(self.source)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"{self.model.uri}: its source is no artifact, {error}; register the checkpoint "
                "again: run the pipeline, or see docs/promotion.md"
            ) from error


class FetchedModel(NamedTuple):
    """A registered version that is here, and is what was registered."""

    model: ModelVersion
    folder: Path
    artifact: ArtifactRef


def register_model(
    name: str, ref: ArtifactRef, run_id: str, tags: Mapping[str, str] | None = None
) -> ModelVersion:
    """Make an artifact a new version in the registry; its files are not copied.

    Args:
        name: the registered model; made when it is not there.
        ref: the checkpoint in the object store.
        run_id: the run that registers it.
        tags: evidence, such as the figures of a gate.

    Raises:
        TrackingError: the server did not take it.
        StorageError: the object store does not have all of the artifact.
    """
    ObjectStore.from_environment().check_folder(ref)
    client = connect()
    with _refused(f"model {name} was not registered"):
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        made = client.create_model_version(
            name,
            str(ref),
            run_id=run_id,
            tags=dict(tags or {}),
            model_id=find_or_make(client, run_id, name, ref),
        )
    return ModelVersion(name, int(made.version))


def register_candidate(
    name: str, ref: ArtifactRef, run_id: str, report: DocumentRef, figures: Mapping[str, float]
) -> ModelVersion:
    """Make a checkpoint the candidate of a model; registered unless it is a version already.

    Args:
        name: the registered model.
        ref: the checkpoint in the object store; its checksum tells versions apart.
        run_id: the run that registers it.
        report: of the checkpoint's evaluation.
        figures: in that report.

    Raises:
        TrackingError: the server did not take it.
        StorageError: the object store does not have all of the checkpoint.
    """
    model = find_version(name, ref.sha256) or register_model(name, ref, run_id)
    set_alias(model, CANDIDATE)
    set_evaluation(model, report, figures)
    return model


def set_evaluation(model: ModelVersion, report: DocumentRef, figures: Mapping[str, float]) -> None:
    """Point a version at its evaluation report, and show the report's figures as tags.

    Raises:
        TrackingError: the server did not take it.
    """
    shown = {figure: str(value) for figure, value in figures.items()}
    set_version_tags(model, shown | {EVALUATION_TAG: str(report)})


def find_version(name: str, sha256: str) -> ModelVersion | None:
    """The newest version of a model whose artifact has this checksum, if there is one.

    Raises:
        TrackingError: no server is set, or it does not answer.
    """
    with _refused(f"model {name}"):
        found = connect().search_model_versions(
            f"name = '{name}' and source_path LIKE 's3://%#sha256={sha256}'"
        )
    numbers = [int(version.version) for version in found]
    return ModelVersion(name, max(numbers)) if numbers else None


def look_up(uri: str) -> Registered:
    """Which version a URI names now, and its tags, such as the evidence of its gate.

    Args:
        uri: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.

    Raises:
        TrackingError: the URI is malformed, no server is set, or it has no such model.
    """
    with _refused(uri):
        found = _version_at(uri)
    model = ModelVersion(found.name, int(found.version))
    return Registered(model, dict(found.tags), str(found.source))


def versions_of(name: str) -> list[Registered]:
    """All versions of a model, in no order.

    Raises:
        TrackingError: no server is set, or it does not answer.
    """
    with _refused(f"model {name}"):
        found = connect().search_model_versions(f"name = '{name}'")
        return [
            Registered(ModelVersion(name, int(one.version)), dict(one.tags), str(one.source))
            for one in found
        ]


def model_tags(uri: str) -> dict[str, str]:
    """The tags of a registered version.

    Raises:
        TrackingError: as ``look_up``.
    """
    return dict(look_up(uri).tags)


def report_of(found: Registered) -> EvaluationReport:
    """The evaluation report of a version, which is about this version's checkpoint.

    Raises:
        ReportError: it has none that can be believed, or one about another checkpoint.
        InvalidInputError: its source is no artifact, or the environment does not say where the
            object store is.
        StorageError: the object store does not answer.
    """
    uri, tags, checkpoint = found.model.uri, found.tags, found.artifact.sha256
    if EVALUATION_TAG not in tags:
        raise ReportError(
            f"{uri}: has no evaluation report (tag {EVALUATION_TAG!r}); the pipeline registers "
            "versions with one, and `spatialreward evaluate` writes one for a judge"
        )
    try:
        report = load_report(ObjectStore.from_environment(), tags[EVALUATION_TAG])
    except ReportError as error:
        raise ReportError(f"{uri}: evaluation report: {error}") from error
    if report.checkpoint_sha256 != checkpoint:
        raise ReportError(
            f"{uri}: its evaluation report is about checkpoint {report.checkpoint_sha256}, "
            f"it is {checkpoint}"
        )
    return report


def set_version_tags(model: ModelVersion, tags: Mapping[str, str]) -> None:
    """Label a version; a tag that it has already gets the new value.

    Raises:
        TrackingError: the server did not take it.
    """
    client = connect()
    with _refused(model.uri):
        for tag, value in tags.items():
            client.set_model_version_tag(model.name, str(model.version), tag, value)


def remove_version_tags(model: ModelVersion, tags: Iterable[str]) -> None:
    """Take labels off a version; one that it does not have is no error.

    Raises:
        TrackingError: the server did not do it.
    """
    client = connect()
    with _refused(model.uri):
        present = client.get_model_version(model.name, str(model.version)).tags
        for tag in set(tags) & set(present):
            client.delete_model_version_tag(model.name, str(model.version), tag)


def aliases_of(name: str) -> dict[str, ModelVersion]:
    """Which version each alias of a model points at.

    Raises:
        TrackingError: there is no such model, or the server does not answer.
    """
    with _refused(f"model {name}"):
        aliases = connect().get_registered_model(name).aliases
    return {alias: ModelVersion(name, int(version)) for alias, version in aliases.items()}


def set_alias(model: ModelVersion, alias: str) -> None:
    """Point an alias, such as ``champion``, at a version.

    Raises:
        TrackingError: the server did not take it.
    """
    with _refused(model.uri):
        connect().set_registered_model_alias(model.name, alias, str(model.version))


def remove_alias(name: str, alias: str) -> None:
    """Have an alias point at nothing; one that does so already is no error.

    Raises:
        TrackingError: the server did not do it.
    """
    with _refused(f"model {name}, alias {alias}"):
        connect().delete_registered_model_alias(name, alias)


def bring(found: Registered) -> Path:
    """Have a version's files here; what was fetched before is not fetched again.

    Raises:
        InvalidInputError: its source is no artifact.
        StorageError: the object store does not have it, or gives something else.
    """
    ref = found.artifact
    return ObjectStore.from_environment().ensure_folder(
        ref, _cache() / f"{found.model.name}-{ref.sha256[:16]}"
    )


def bring_verified(found: Registered) -> FetchedModel:
    """As ``bring``, and make sure that the files here are those that were registered.

    Raises:
        InvalidInputError: its source is no artifact, or files that are here already were changed.
        StorageError: the object store does not have it, or gives something else.
    """
    folder = bring(found)
    if (checksum := digest_folder(folder)) != found.artifact.sha256:
        raise InvalidInputError(
            f"{found.model.uri} in {folder}: expected sha256 {found.artifact.sha256}, "
            f"got {checksum}"
        )
    return FetchedModel(found.model, folder, found.artifact)


def fetch_verified(uri: str) -> FetchedModel:
    """Bring a registered model here, and make sure that it is what was evaluated.

    Args:
        uri: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; an alias is looked up once, so it
            may move meanwhile.

    Raises:
        TrackingError: the URI is malformed, no server is set, or it has no such model.
        InvalidInputError: the version's source is no artifact, or its files here were changed.
        ReportError: it has no evaluation report that can be believed, or one about another
            checkpoint.
        StorageError: the object store does not answer.
    """
    found = look_up(uri)
    report_of(found)
    return bring_verified(found)


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """What the server refuses, as an error of ours that says what it is about."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TrackingError(f"{what}: {error}") from error


def _version_at(uri: str) -> "StoredVersion":
    match = _MODEL_URI.fullmatch(uri)
    if match is None:
        raise TrackingError(f"{uri}: expected models:/NAME@ALIAS or models:/NAME/VERSION")
    client = connect()
    if match["alias"]:
        return client.get_model_version_by_alias(match["name"], match["alias"])
    return client.get_model_version(match["name"], match["version"])


def _cache() -> Path:
    given = os.environ.get("SPATIALREWARD_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spatialreward" / "models"
