"""The model registry in MLflow: versions of a model, their aliases and tags.

Aliases, not stages: ``candidate`` is the newest version, ``champion`` the one that passed its gate
and is served, ``previous`` the champion before it. ``promotion`` moves the latter two.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spatialreward.artifacts import ArtifactRef, DocumentRef
from spatialreward.benchmarks.report import EvaluationReport, ReportError, load_report
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.tracking import TrackingError, connect
from spatialreward.storage import ObjectStore

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as StoredVersion

MODEL_FOLDER = "model"
CHECKSUM_TAG = "sha256"
ARTIFACT_TAG = "artifact"
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


class FetchedModel(NamedTuple):
    """A registered version that is here, and is what was registered."""

    model: ModelVersion
    folder: Path
    tags: Mapping[str, str]


def register_model(
    name: str, folder: Path, run_id: str, tags: Mapping[str, str] | None = None
) -> ModelVersion:
    """Store a model's folder with its run and make it a new version in the registry.

    Args:
        name: the registered model; made when it is not there.
        folder: the checkpoint.
        run_id: the run that the checkpoint came out of.
        tags: evidence, such as the figures of a gate.

    Raises:
        TrackingError: the server did not take it.
    """
    client = connect()
    with _refused(f"model {name} was not registered"):
        client.log_artifacts(run_id, str(folder), MODEL_FOLDER)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}"
        made = client.create_model_version(name, source, run_id=run_id, tags=dict(tags or {}))
    return ModelVersion(name, int(made.version))


def register_candidate(
    name: str,
    ref: ArtifactRef,
    fetch: Callable[[], Path],
    run_id: str,
    report: DocumentRef,
    figures: Mapping[str, float],
) -> ModelVersion:
    """Make a checkpoint the candidate of a model; registered unless it is a version already.

    Args:
        name: the registered model.
        ref: the checkpoint in the object store; its checksum tells versions apart.
        fetch: brings the checkpoint here, when it is needed.
        run_id: the run that registers it.
        report: of the checkpoint's evaluation.
        figures: in that report.

    Raises:
        TrackingError: the server did not take it.
    """
    model = find_version(name, CHECKSUM_TAG, ref.sha256)
    if model is None:
        tags = {CHECKSUM_TAG: ref.sha256, ARTIFACT_TAG: str(ref)}
        model = register_model(name, fetch(), run_id, tags)
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


def find_version(name: str, tag: str, value: str) -> ModelVersion | None:
    """The newest version of a model that carries a tag of this value, if there is one.

    Raises:
        TrackingError: no server is set, or it does not answer.
    """
    with _refused(f"model {name}"):
        # MLflow's filter takes any tag's name between backticks and any value between quotes.
        found = connect().search_model_versions(f"name = '{name}' and tags.`{tag}` = '{value}'")
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
    return Registered(ModelVersion(found.name, int(found.version)), dict(found.tags))


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
        InvalidInputError: the environment does not say where the object store is.
        StorageError: the object store does not answer.
    """
    uri, tags = found.model.uri, found.tags
    if EVALUATION_TAG not in tags:
        raise ReportError(
            f"{uri}: has no evaluation report (tag {EVALUATION_TAG!r}); the pipeline registers "
            "versions with one, and `spatialreward evaluate` writes one for a judge"
        )
    try:
        report = load_report(ObjectStore.from_environment(), tags[EVALUATION_TAG])
    except ReportError as error:
        raise ReportError(f"{uri}: evaluation report: {error}") from error
    if report.checkpoint_sha256 != tags.get(CHECKSUM_TAG):
        raise ReportError(
            f"{uri}: its evaluation report is about checkpoint {report.checkpoint_sha256}, its "
            f"tag {CHECKSUM_TAG!r} is {tags.get(CHECKSUM_TAG, 'missing')}"
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


def resolve_model(uri: str) -> Path:
    """Bring a registered model here; a version that was fetched before is not fetched again.

    Args:
        uri: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.

    Raises:
        TrackingError: the URI is malformed, no server is set, or it has no such model.
    """
    from mlflow.artifacts import download_artifacts

    with _refused(uri):
        found = _version_at(uri)
        target = _cache() / f"{found.name}-{found.version}-{found.run_id}"
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as unfinished:
            fetched = download_artifacts(artifact_uri=found.source, dst_path=unfinished)
            shutil.move(fetched, target)
    return target


def fetch_verified(uri: str) -> FetchedModel:
    """Bring a registered model here, and make sure that it is what was evaluated.

    Args:
        uri: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; an alias is looked up once, so it
            may move meanwhile.

    Raises:
        TrackingError: the URI is malformed, no server is set, or it has no such model.
        InvalidInputError: the version was registered without a checksum, or its files are others.
        ReportError: it has no evaluation report that can be believed, or one about another
            checkpoint.
        StorageError: the object store does not answer.
    """
    found = look_up(uri)
    if CHECKSUM_TAG not in found.tags:
        raise InvalidInputError(
            f"{found.model.uri}: has no tag {CHECKSUM_TAG!r}, so nobody can tell what was "
            "registered"
        )
    return fetch_evaluated(found, report_of(found))


def fetch_evaluated(found: Registered, report: EvaluationReport) -> FetchedModel:
    """Bring the files of a version here, and make sure that a report is about them.

    Raises:
        TrackingError: the registry does not give them.
        InvalidInputError: the report is about other files.
    """
    folder = resolve_model(found.model.uri)
    checksum = digest_folder(folder)
    if checksum != report.checkpoint_sha256:
        raise InvalidInputError(
            f"{found.model.uri} in {folder}: expected sha256 {report.checkpoint_sha256}, "
            f"got {checksum}"
        )
    return FetchedModel(found.model, folder, found.tags)


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
