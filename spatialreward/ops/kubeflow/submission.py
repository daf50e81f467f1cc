"""From a compiled pipeline to a run or a schedule, without ever making one of them twice."""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any, Protocol, TypeVar

from spatialreward.ops.kubeflow.client import KubeflowPipelines
from spatialreward.ops.kubeflow.errors import (
    AlreadyThere,
    AnswerLost,
    KubeflowError,
    OutcomeUnknown,
    ServerFault,
)
from spatialreward.ops.kubeflow.package import Package
from spatialreward.ops.kubeflow.records import Experiment, PipelineVersion, RecurringRun, Run
from spatialreward.records import Record

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S = (0.0, 2.0, 4.0, 8.0)
"""Waits before each look for what a lost answer may have been about."""


class Request(Record):
    """What is to be run, beside the pipeline."""

    run_name: str
    experiment: str = "spatialreward"
    parameters: Mapping[str, Any] = {}
    service_account: str = ""
    """Of the steps' pods; empty for the server's default."""
    note: str = ""
    """Shown with the run: profile, commit."""


class Described(Protocol):
    """A run or a schedule."""

    @property
    def description(self) -> str:
        """Ends in the mark that it was made with."""
        ...


Made = TypeVar("Made", bound=Described)


def publish(
    client: KubeflowPipelines, package: Package, note: str = ""
) -> tuple[PipelineVersion, bool]:
    """Upload a pipeline's version, unless the same content is there.

    Returns:
        The version, and whether it was there before.

    Raises:
        KubeflowError: the server cannot be asked, or refuses it.
    """
    pipeline = client.find_pipeline(package.name)
    if pipeline is None:
        about = str(package.spec["pipelineInfo"].get("description", ""))
        try:
            pipeline = client.create_pipeline(package.name, about)
        except AlreadyThere:
            # Somebody else was quicker, or we were, and the answer got lost.
            pipeline = client.find_pipeline(package.name)
            if pipeline is None:
                raise
    found = client.find_version(pipeline, package.version_name)
    if found is not None:
        return found, True
    said = ", ".join(filter(None, [note, f"sha256 {package.sha256}"]))
    try:
        made = client.upload_version(pipeline, package.version_name, package.content, said)
    except AlreadyThere:
        found = client.find_version(pipeline, package.version_name)
        if found is None:
            raise
        return found, True
    return made, False


def start(client: KubeflowPipelines, made_of: PipelineVersion, request: Request) -> Run:
    """Start one run.

    Raises:
        OutcomeUnknown: the answer got lost, and no such run has appeared; none was started again.
        KubeflowError: the server cannot be asked, or refuses it.
    """
    body, mark = _body(client, made_of, request)

    def alike() -> Iterable[Run]:
        return client.runs(("display_name", "EQUALS", request.run_name))

    run = _made_once(client, lambda: client.create_run(body), alike, mark)
    if run is None:
        raise OutcomeUnknown(
            f"{client.server}: whether run {request.run_name} was started is not known, its answer "
            "got lost; look with `spatialreward runs list` before you submit again"
        )
    return run


def schedule(
    client: KubeflowPipelines,
    made_of: PipelineVersion,
    request: Request,
    trigger: Mapping[str, Any],
) -> RecurringRun:
    """Have the server start runs by itself, one at a time, without making up for missed ones.

    Raises:
        OutcomeUnknown: the answer got lost, and no such schedule has appeared; none was made again.
        KubeflowError: the server cannot be asked, or refuses it.
    """
    body, mark = _body(client, made_of, request)
    body |= {
        "trigger": trigger,
        "max_concurrency": "1",
        "no_catchup": True,
        "mode": "ENABLE",
    }

    def alike() -> Iterable[RecurringRun]:
        return client.schedules(("display_name", "EQUALS", request.run_name))

    made = _made_once(client, lambda: client.create_schedule(body), alike, mark)
    if made is None:
        raise OutcomeUnknown(
            f"{client.server}: whether schedule {request.run_name} was made is not known, its "
            "answer got lost; look with `spatialreward runs schedules` before you submit again"
        )
    return made


def _body(
    client: KubeflowPipelines, made_of: PipelineVersion, request: Request
) -> tuple[dict[str, Any], str]:
    """What runs and schedules have in common, and the mark by which this one is known."""
    mark = f"submission {secrets.token_hex(16)}"
    about = f"by spatialreward {version('spatialreward')}"
    body: dict[str, Any] = {
        "display_name": request.run_name,
        "description": ", ".join(filter(None, [request.note, about, mark])),
        "experiment_id": _experiment(client, request.experiment).experiment_id,
        "pipeline_version_reference": {
            "pipeline_id": made_of.pipeline_id,
            "pipeline_version_id": made_of.pipeline_version_id,
        },
        "runtime_config": {"parameters": dict(request.parameters)},
    }
    if request.service_account:
        body["service_account"] = request.service_account
    return body, mark


def _experiment(client: KubeflowPipelines, name: str) -> Experiment:
    found = client.find_experiment(name)
    if found is not None:
        return found
    try:
        return client.create_experiment(name)
    except AlreadyThere:
        found = client.find_experiment(name)
        if found is None:
            raise
        return found


def _made_once(
    client: KubeflowPipelines,
    make: Callable[[], Made],
    alike: Callable[[], Iterable[Made]],
    mark: str,
) -> Made | None:
    """Make something, and if the answer gets lost, look whether it was made.

    Returns:
        It; None where the answer got lost, or the server failed and answered nothing since, and it
        has not appeared.

    Raises:
        KubeflowError: the server refuses it, or failed and it has not appeared.
    """
    try:
        return make()
    except (AnswerLost, ServerFault) as error:
        logger.warning("%s; looking whether it was made", error)
        fault = error
    looked = False
    for wait_s in _LOOK_AGAIN_S:
        client.pause(wait_s)
        try:
            found = next((one for one in alike() if one.description.endswith(mark)), None)
        except KubeflowError as error:
            logger.debug("%s", error)
            continue
        looked = True
        if found is not None:
            return found
    if looked and isinstance(fault, ServerFault):
        raise fault
    return None
