"""Runs, their parameters, metrics and files in MLflow; ``registry`` has the models.

A step works in three ways: inside a run that the platform made for it (``MLFLOW_RUN_ID``), as a
child of a parent run, and with no server at all, where it only logs. A server that cannot be
reached at the start stops the step; one that hiccups later costs figures, not the work.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spatialreward.errors import SpatialRewardError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset as DatasetEntity
    from mlflow.entities import Run
    from PIL import Image

logger = logging.getLogger(__name__)

EXPERIMENT = "spatialreward"
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Has MLflow's page open the experiment in its view for training models, not for traces."""
DIGEST_CHARACTERS = 36
"""What MLflow stores of a data set's digest at most."""
_SYSTEM_METRICS_EVERY_S = 5
_NOT_IN_NAMES = re.compile(r"[^\w.: -]|^\.+|^$")
_NAME_CHARACTERS = 250
_PARAMS_A_REQUEST = 100
_RUNS_A_REQUEST = 1000


class TrackingError(SpatialRewardError, RuntimeError):
    """The tracking server cannot be used, or does not know what it was asked for."""


class Tracker:
    """Where one run's parameters, metrics and files go; without a server, to the log."""

    def __init__(self, client: "MlflowClient | None", run_id: str | None) -> None:
        """Write to run ``run_id`` of the client's server, or only log."""
        self._client = client
        self.run_id = run_id

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record what the run was started with."""
        logger.debug("parameters: %s", dict(params))

        def send(client: "MlflowClient", run_id: str) -> None:
            from mlflow.entities import Param

            entities = [Param(name, str(value)) for name, value in params.items()]
            for start in range(0, len(entities), _PARAMS_A_REQUEST):
                client.log_batch(run_id, params=entities[start : start + _PARAMS_A_REQUEST])

        self.record("parameters", send)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record metrics, named ``group/what_unit``.

        Names may have words of data sets in them; what MLflow takes in no name is ``_`` there.
        """
        told = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        logger.info("%s%s", "" if step is None else f"step {step}: ", told)

        def send(client: "MlflowClient", run_id: str) -> None:
            import time

            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            entities = [
                Metric(metric_name(name), value, now, step or 0) for name, value in metrics.items()
            ]
            client.log_batch(run_id, metrics=entities)

        self.record("metrics", send)

    def log_file(self, path: Path, folder: str = "") -> None:
        """Store a file under the run's artifacts."""
        self.record(str(path), lambda client, run: client.log_artifact(run, str(path), folder))

    def log_image(self, image: "Image.Image", name: str) -> None:
        """Store a picture as the artifact ``name``, such as ``samples/before.png``."""
        self.record(name, lambda client, run: client.log_image(run, image, artifact_file=name))

    def log_dataset(self, name: str, uri: str, digest: str, context: str) -> None:
        """Note that the run read a data set; ``context`` says what for, such as ``training``."""

        def described() -> "DatasetEntity":
            from mlflow.entities import Dataset

            return Dataset(name, digest[:DIGEST_CHARACTERS], "s3", f'{{"uri": "{uri}"}}')

        self.log_input(name, described, context)

    def log_input(self, name: str, described: "Callable[[], DatasetEntity]", context: str) -> None:
        """As ``log_dataset``, of a data set that is described in MLflow's own terms if need be."""

        def send(client: "MlflowClient", run_id: str) -> None:
            from mlflow.entities import DatasetInput, InputTag

            tag = InputTag("mlflow.data.context", context)
            client.log_inputs(run_id, [DatasetInput(described(), [tag])])

        self.record(f"data set {name}", send)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Label the run."""

        def send(client: "MlflowClient", run_id: str) -> None:
            for name, value in tags.items():
                client.set_tag(run_id, name, value)

        self.record("tags", send)

    def record(self, what: str, send: "Callable[[MlflowClient, str], object]") -> None:
        """Do something with the run on the server; what fails there is a warning.

        Args:
            what: what is not recorded then, in the warning.
            send: gets a client and the run's id; not called where there is no server.
        """
        if self._client is None or self.run_id is None:
            return
        from mlflow.exceptions import MlflowException

        try:
            send(self._client, self.run_id)
        except (MlflowException, OSError) as error:
            logger.warning("tracking: %s not recorded: %s", what, error)


def metric_name(name: str) -> str:
    """A name as MLflow takes it: ``_`` for other characters, empty parts and leading dots."""
    parts = (_NOT_IN_NAMES.sub("_", part) for part in name.split("/"))
    return "/".join(parts)[:_NAME_CHARACTERS].rstrip("/")


class ChildRun(NamedTuple):
    """One step of a pipeline's run."""

    run_id: str
    name: str
    status: str
    """``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``."""
    tags: dict[str, str]
    metrics: dict[str, float]
    """The last value of each."""
    seconds: float | None
    """From its start to its end; None while it runs."""


@contextmanager
def open_run(
    name: str,
    *,
    parent_run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Iterator[Tracker]:
    """Track what a ``with`` block does as one run; it fails when the block raises.

    Args:
        name: the run's name.
        parent_run_id: the run that this one is a step of.
        tags: labels of the run.

    Raises:
        TrackingError: ``MLFLOW_TRACKING_URI`` is set and the server there cannot be used.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        logger.info("%s: no tracking server (MLFLOW_TRACKING_URI), figures go to the log", name)
        yield Tracker(None, None)
        return
    client = connect()
    injected = os.environ.get("MLFLOW_RUN_ID")
    with ExitStack() as stack:
        run_id = injected or stack.enter_context(_own_run(client, name, parent_run_id, tags or {}))
        stack.enter_context(_system_metrics(run_id))
        tracker = Tracker(client, run_id)
        if injected:
            tracker.set_tags(tags or {})
        yield tracker


def child_runs(parent_run_id: str) -> list[ChildRun]:
    """The steps of a pipeline's run, in the order in which they started.

    Raises:
        TrackingError: the server does not answer.
    """
    from mlflow.exceptions import MlflowException

    client = connect()
    try:
        experiment = client.get_run(parent_run_id).info.experiment_id
        found = list(_children(client, experiment, parent_run_id))
    except MlflowException as error:
        raise TrackingError(f"run {parent_run_id}: {error}") from error
    return [
        ChildRun(
            run.info.run_id,
            run.info.run_name,
            run.info.status,
            dict(run.data.tags),
            dict(run.data.metrics),
            None if run.info.end_time is None else (run.info.end_time - run.info.start_time) / 1e3,
        )
        for run in found
    ]


def run_params(run_id: str) -> dict[str, str]:
    """What a run was started with.

    Raises:
        TrackingError: there is no such run, or the server does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return dict(connect().get_run(run_id).data.params)
    except MlflowException as error:
        raise TrackingError(f"run {run_id}: {error}") from error


def metric_history(run_id: str, name: str) -> list[float]:
    """All values of a metric in the order of its steps; empty where the run has none.

    Raises:
        TrackingError: there is no such run, or the server does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        history = connect().get_metric_history(run_id, name)
    except MlflowException as error:
        raise TrackingError(f"run {run_id}, metric {name}: {error}") from error
    return [one.value for one in sorted(history, key=lambda one: (one.step, one.timestamp))]


def fetch_files(run_id: str, folder: str, out: Path) -> list[Path]:
    """Bring the files here that a run stored under ``folder``; none is fine.

    Raises:
        TrackingError: there is no such run, or the server does not answer.
    """
    from mlflow.exceptions import MlflowException

    client = connect()
    out.mkdir(parents=True, exist_ok=True)
    try:
        return [
            Path(client.download_artifacts(run_id, file.path, str(out)))
            for file in client.list_artifacts(run_id, folder)
        ]
    except MlflowException as error:
        raise TrackingError(f"run {run_id}: {error}") from error


def connect() -> "MlflowClient":
    """A client of the server at ``MLFLOW_TRACKING_URI``, for runs and for models.

    Raises:
        TrackingError: it is not set, or no server answers there.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    address = os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        raise TrackingError("no tracking server, set MLFLOW_TRACKING_URI")
    # The caller reports the end of a run itself, and programs may read its output.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    client = MlflowClient(tracking_uri=address, registry_uri=address)
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise TrackingError(f"tracking server {address}: {error}") from error
    return client


def experiment_id(client: "MlflowClient") -> str:
    """The experiment that runs belong to (``MLFLOW_EXPERIMENT_NAME``); made if it is not there."""
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found = client.get_experiment_by_name(name)
    if found is not None:
        for tag, value in _KIND.items():
            if tag not in found.tags:
                client.set_experiment_tag(found.experiment_id, tag, value)
        return found.experiment_id
    try:
        return client.create_experiment(name, tags=_KIND)
    except MlflowException:
        # Two steps that start at once both want to make it; one of them did.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id


def _children(client: "MlflowClient", experiment: str, parent_run_id: str) -> "Iterator[Run]":
    token = None
    while True:
        page = client.search_runs(
            [experiment],
            f"tags.`mlflow.parentRunId` = '{parent_run_id}'",
            order_by=["attributes.start_time ASC"],
            max_results=_RUNS_A_REQUEST,
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _own_run(
    client: "MlflowClient", name: str, parent_run_id: str | None, tags: Mapping[str, str]
) -> Iterator[str]:
    from mlflow.exceptions import MlflowException

    parent = {"mlflow.parentRunId": parent_run_id} if parent_run_id else {}
    try:
        run = client.create_run(experiment_id(client), run_name=name, tags={**tags, **parent})
    except MlflowException as error:
        raise TrackingError(f"run {name}: {error}") from error
    run_id, status = run.info.run_id, "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        try:
            client.set_terminated(run_id, status)
        except MlflowException as error:
            logger.warning("tracking: the end of run %s was not recorded: %s", name, error)


@contextmanager
def _system_metrics(run_id: str) -> Iterator[None]:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor: Any = SystemMetricsMonitor(
        run_id,
        sampling_interval=_SYSTEM_METRICS_EVERY_S,
        tracking_uri=os.environ["MLFLOW_TRACKING_URI"],
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
