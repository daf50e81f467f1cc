"""Checkpoints as MLflow's logged models, so that its page compares them by data set.

A logged model stands for one artifact, by its checksum. The training makes it; where that is not
known to this server, the evaluation or the registration does. It holds the artifact's small files
for people to read, and no weights.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.artifacts import MANIFEST_NAME, ArtifactRef
from spatialreward.ops.tracking import DIGEST_CHARACTERS, Tracker
from spatialreward.storage import ObjectStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACT_TAG, CHECKSUM_TAG = "artifact", "sha256"
_SHOWN = (".json", ".jinja", ".md")
_LARGEST_SHOWN = 1 << 16


def log_model(tracker: Tracker, name: str, ref: ArtifactRef) -> None:
    """Note that a run has made a checkpoint, with the run's parameters; without a server, nothing.

    Args:
        tracker: of the run.
        name: of the model, such as ``judge``.
        ref: the checkpoint.

    Raises:
        StorageError: the object store does not give the small files.
    """

    def send(client: "MlflowClient", run_id: str) -> None:
        from mlflow.entities import LoggedModelOutput

        params = dict(client.get_run(run_id).data.params)
        model_id = find_or_make(client, run_id, name, ref, params)
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])

    tracker.record(f"model {ref}", send)


def log_model_figures(
    tracker: Tracker,
    name: str,
    ref: ArtifactRef,
    figures: Mapping[str, float],
    *,
    data: tuple[str, str] | None = None,
) -> None:
    """Note what a run has measured of a checkpoint; without a server, nothing.

    Args:
        tracker: of the run.
        name: of the model, where it is not known yet.
        ref: the checkpoint.
        figures: by name.
        data: name and SHA-256 of the data set that it was measured on, if it is one.

    Raises:
        StorageError: the object store does not give the small files.
    """

    def send(client: "MlflowClient", run_id: str) -> None:
        from mlflow.entities import LoggedModelInput, Metric

        model_id = find_or_make(client, run_id, name, ref)
        client.log_inputs(run_id, models=[LoggedModelInput(model_id)])
        on = (
            {"dataset_name": data[0], "dataset_digest": data[1][:DIGEST_CHARACTERS]} if data else {}
        )
        now = int(time.time() * 1000)
        client.log_batch(
            run_id,
            metrics=[
                Metric(figure, value, now, 0, model_id=model_id, run_id=run_id, **on)
                for figure, value in figures.items()
            ],
        )

    tracker.record(f"figures of {ref}", send)


def find_or_make(
    client: "MlflowClient",
    run_id: str,
    name: str,
    ref: ArtifactRef,
    params: Mapping[str, str] | None = None,
) -> str:
    """Id of the logged model of a checkpoint in a run's experiment.

    Args:
        client: of the server.
        run_id: the run that has made the model, if it is not known yet.
        name: of the model then.
        ref: the checkpoint.
        params: of the model then.

    Raises:
        MlflowException: the server does not take it.
        StorageError: the object store does not give the small files.
    """
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_logged_models(
        [experiment],
        f"tags.{CHECKSUM_TAG} = '{ref.sha256}'",
        order_by=[{"field_name": "creation_timestamp", "ascending": True}],
        max_results=1,
    )
    if found:
        return found[0].model_id
    made = client.create_logged_model(
        experiment,
        name,
        source_run_id=run_id,
        tags={CHECKSUM_TAG: ref.sha256, ARTIFACT_TAG: str(ref)},
        params=dict(params or {}),
    )
    _show_small_files(client, made.model_id, ref)
    client.finalize_logged_model(made.model_id, "READY")
    return made.model_id


def _show_small_files(client: "MlflowClient", model_id: str, ref: ArtifactRef) -> None:
    store = ObjectStore.from_environment()
    manifest = store.read_manifest(ref)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST_NAME).write_bytes(manifest.content)
        for file in manifest.files:
            if file.path.endswith(_SHOWN) and file.size <= _LARGEST_SHOWN:
                (Path(folder) / file.path).parent.mkdir(parents=True, exist_ok=True)
                store.get_file(f"{ref.uri}/{file.path}", Path(folder) / file.path)
        client.log_model_artifacts(model_id, folder)
