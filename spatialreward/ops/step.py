"""What every step of a pipeline does the same way, wherever it runs.

A step opens its run in MLflow, works in a folder of its own, stores what it made, and leaves a
marker in the object store. The marker's name is a hash of everything that the result follows from,
the code included, so the same step with the same inputs is done once; a step that was killed finds
its folder again and goes on where it kept its state.
"""

import datetime
import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spatialreward.artifacts import ArtifactRef, required_object
from spatialreward.errors import InvalidInputError, SpatialRewardError, is_final
from spatialreward.folder_manifest import VERSION
from spatialreward.ops.attempts import FINAL_TAG, refuse_in_vain, with_retries
from spatialreward.ops.code_version import code_version
from spatialreward.ops.config import flatten
from spatialreward.ops.logged_models import log_model
from spatialreward.ops.pipeline_run import find_parent
from spatialreward.ops.tracking import Tracker, open_run
from spatialreward.records import Record
from spatialreward.storage import BUCKET, ObjectStore

logger = logging.getLogger(__name__)

RERUN = "SPATIALREWARD_RERUN"
"""Environment variable that, when set, has every step done again whatever was done before."""
STORED_TAG = "stored_bytes."
"""Beginning of a run's tags with the sizes of the folders that it answered with, by output."""
_DEFAULT_WORK_DIR = "build/work"

Outputs = dict[str, Any]
"""What a step answers: references of artifacts, figures, and groups of figures."""


class Step:
    """One step at work: its folder, its run, and the object store."""

    def __init__(
        self,
        name: str,
        folder: Path,
        tracker: Tracker,
        store: ObjectStore,
        inputs: Mapping[str, str],
    ) -> None:
        """Bring together what a step works with; ``run_step`` does that."""
        self.name = name
        self.folder = folder
        self.tracker = tracker
        self.store = store
        self._inputs = inputs
        self._sizes: dict[str, int] = {}

    @property
    def resume_file(self) -> Path:
        """Where a training keeps its state; it is there again after a kill, gone after success."""
        return self.folder / "state.pt"

    def report(self, metrics: dict[str, float], step: int) -> None:
        """Record metrics of a training."""
        self.tracker.log_metrics(metrics, step)

    def fetch(self, name: str) -> Path:
        """The folder of an input artifact, brought here unless it is here already.

        Raises:
            InvalidInputError: the input is no reference of an artifact.
            StorageError: the artifact is missing, or is not what its reference says.
        """
        return fetch_input(self.store, ArtifactRef.parse(self._inputs[name]), self.folder, name)

    def new_folder(self, name: str) -> Path:
        """An empty folder's path; what an interrupted attempt left there is removed."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def keep(self, folder: Path, uri: str = "") -> str:
        """Store a folder and return its reference.

        Args:
            folder: what to store; files that are in its place already are not sent again.
            uri: its place, for one that is not named after its content.
        """
        if uri:
            ref = self.store.put_folder_at(folder, uri)
        else:
            ref = self.store.put_folder(folder, f"s3://{BUCKET}/artifacts/{self.name}")
        size = self.store.read_manifest(ref).size_bytes
        self._sizes[str(ref)] = size
        logger.info("stored %s (%.1f MB)", ref, size / 1e6)
        return str(ref)

    def keep_model(self, folder: Path, name: str) -> str:
        """Store a checkpoint, note in MLflow that this run has made it, and return its reference.

        Args:
            folder: the checkpoint.
            name: of the model in MLflow, such as ``judge``.
        """
        reference = self.keep(folder)
        log_model(self.tracker, name, ArtifactRef.parse(reference))
        return reference

    def stored_bytes(self, outputs: Outputs) -> dict[str, int]:
        """Sizes of the folders among a step's outputs that this step has stored, by name."""
        return {
            name: self._sizes[value]
            for name, value in outputs.items()
            if isinstance(value, str) and value in self._sizes
        }


def run_step(
    name: str,
    config: Record,
    inputs: Mapping[str, str],
    work: Callable[[Step], Outputs],
    *,
    parent_run_id: str = "",
    data_sets: Mapping[str, str] | None = None,
    reuse: bool = True,
    package: str = "",
) -> Outputs:
    """Do a step, or find out that it has been done.

    Args:
        name: the step, such as ``train-judge``.
        config: its resolved settings.
        inputs: references of artifacts, and whatever else the result follows from, by name.
        work: does the work.
        parent_run_id: the pipeline's run in MLflow; empty for the one that its first step opened,
            if there is one.
        data_sets: inputs to note as data sets of the run, each with what it is for.
        reuse: False for a step whose effect is outside the store; its ``work`` runs every time.
        package: whose sources the result follows from, beside the library's; empty: the one that
            ``work`` is from.

    Raises:
        SpatialRewardError: as ``work`` raises; the run has failed then, and says why. Where the
            environment allows retries, what may pass has been tried again.
    """
    key = step_key(name, config, inputs, package or work.__module__.rpartition(".")[0])
    parent_run_id = find_parent(parent_run_id)
    refuse_in_vain(key, parent_run_id)
    store = ObjectStore.from_environment()
    store.ensure_bucket(BUCKET)
    marker = _marker(name, key)
    tags = {"step": name, "step_key": key}
    with (
        _own_folder(name, key) as folder,
        open_run(name, parent_run_id=parent_run_id or None, tags=tags) as tracker,
    ):
        tracker.log_params(flatten(config.model_dump(mode="json")))
        _log_data_sets(tracker, inputs, data_sets or {})
        if os.environ.get(RERUN):
            store.remove(marker)
        done = _finished(store, marker) if reuse else None
        if done is not None:
            logger.info("done before, with the same inputs: reused", extra={"event": "reused"})
            tracker.set_tags({"reused": "true", "reused_run_id": str(done["run_id"])})
        else:
            start = time.perf_counter()
            step = Step(name, folder, tracker, store, inputs)
            outputs = _attempt(lambda: with_retries(lambda: work(step)), tracker)
            seconds = time.perf_counter() - start
            logger.info("finished in %.0f s", seconds)
            tracker.log_metrics({"time/step_s": seconds})
            done = _note(name, tracker.run_id, outputs, step.stored_bytes(outputs))
            if reuse:
                done = _mark(store, marker, done)
            shutil.rmtree(folder)
        outputs = done["outputs"]
        if figures := _figures(outputs):
            tracker.log_metrics(figures)
        tracker.set_tags({f"output.{key}": str(value) for key, value in outputs.items()})
        tracker.set_tags(
            {STORED_TAG + key: str(size) for key, size in done["stored_bytes"].items()}
        )
    return outputs


def step_key(name: str, config: Record, inputs: Mapping[str, str], package: str) -> str:
    """Hash of everything that a step's result follows from.

    Args:
        name: the step.
        config: its settings.
        inputs: as ``run_step`` gets them.
        package: what does its work, such as ``components.reward_training``.
    """
    cause = {
        "step": name,
        "code": code_version(package),
        # Markers name artifacts, which are readable in one form only.
        "artifacts": VERSION,
        "config": config.model_dump(mode="json"),
        "inputs": dict(inputs),
    }
    return hashlib.sha256(json.dumps(cause, sort_keys=True).encode()).hexdigest()


def fetch_input(store: ObjectStore, ref: ArtifactRef, folder: Path, name: str) -> Path:
    """The folder of an input artifact in a step's folder, brought there unless it is there.

    Of several processes that want it at once one brings it.

    Args:
        store: where the artifact is.
        ref: the artifact.
        folder: the step's.
        name: of the input.

    Raises:
        StorageError: the artifact is missing, or is not what its reference says.
    """
    return store.ensure_folder(ref, folder / "inputs" / name)


def finished_step(name: str, key: str) -> Outputs | None:
    """What a step of this key has answered, wherever it was done; None if it has not been.

    Raises:
        InvalidInputError: the environment does not say where the store is.
        StorageError: the store does not answer.
    """
    done = _finished(ObjectStore.from_environment(), _marker(name, key))
    return None if done is None else done["outputs"]


def work_dir() -> Path:
    """Where steps work: ``SPATIALREWARD_WORK_DIR``, or ``build/work``."""
    return Path(os.environ.get("SPATIALREWARD_WORK_DIR") or _DEFAULT_WORK_DIR).absolute()


@contextmanager
def _own_folder(name: str, key: str) -> Iterator[Path]:
    """The step's folder, kept until it succeeds; a second process with the same step waits."""
    folder = work_dir() / f"{name}-{key[:16]}"
    try:
        locks = folder.parent / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = os.open(locks / folder.name, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InvalidInputError(f"working folder {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True)
        yield folder
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        os.close(lock)


def _log_data_sets(
    tracker: Tracker, inputs: Mapping[str, str], data_sets: Mapping[str, str]
) -> None:
    for name, purpose in data_sets.items():
        ref = ArtifactRef.parse(inputs[name])
        tracker.log_dataset(name, ref.uri, ref.sha256, purpose)


def _attempt(work: Callable[[], Outputs], tracker: Tracker) -> Outputs:
    try:
        return work()
    except Exception as error:
        said = " ".join(str(error).split())
        ours = isinstance(error, SpatialRewardError)
        tags = {"error": said if ours else f"{type(error).__name__}: {error}"}
        tracker.set_tags(tags | ({FINAL_TAG: "true"} if is_final(error) else {}))
        raise


def _marker(name: str, key: str) -> str:
    return f"s3://{BUCKET}/steps/{name}/{key}.json"


def _finished(store: ObjectStore, marker: str) -> Any:
    """What a marker says, if the artifacts that it names are still there."""
    done = store.get_json(marker)
    if done is None:
        return None
    for uri in _objects(done["outputs"]):
        if not store.exists(uri):
            logger.warning("%s is missing from the store; re-running the step", uri)
            store.remove(marker)
            return None
    return done


def _note(
    name: str, run_id: str | None, outputs: Outputs, stored_bytes: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "step": name,
        "run_id": run_id,
        "outputs": outputs,
        "stored_bytes": dict(stored_bytes),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _mark(store: ObjectStore, marker: str, note: dict[str, Any]) -> Any:
    """Note that a step is done; of two that did it at once, the first one's note stands."""
    return note if store.put_json_if_absent(marker, note) else store.get_json(marker)


def _objects(outputs: Outputs) -> Iterator[str]:
    for value in outputs.values():
        if isinstance(value, str) and value.startswith("s3://"):
            yield required_object(value)


def _figures(outputs: Outputs) -> dict[str, float]:
    return {
        name.replace(".", "/"): float(value)
        for name, value in flatten(outputs).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
