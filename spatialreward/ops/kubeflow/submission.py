"""From a compiled pipeline to a run or a schedule, without ever making one of them twice."""

import logging
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spatialreward.ops.kubeflow.errors import (
    AlreadyThere,
    AnswerLost,
    KubeflowError,
    OutcomeUnknown,
    ServerFault,
)
from spatialreward.ops.kubeflow.package import Package
from spatialreward.records import Record

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.client import (
        KubeflowPipelines,
        PipelineVersion,
        RecurringRun,
        Run,
    )

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S = (0.0, 2.0, 4.0, 8.0)
"""Waits before each look for the object of a lost answer."""
Made = TypeVar("Made")


class Request(Record):
    """A run to start, beside its pipeline."""

    run_name: str
    experiment: str = "spatialreward"
    parameters: Mapping[str, Any] = {}
    service_account: str = ""
    """Of the steps' pods; empty for the server's default."""
    note: str = ""
    """Shown with the run: profile, commit."""


def publish(
    client: "KubeflowPipelines", package: Package, note: str = ""
) -> "tuple[PipelineVersion, bool]":
    """Upload a pipeline's version, unless the same content is there.

    Returns:
        The version, and whether it was there before.

    Raises:
        KubeflowError: the server cannot be asked, or refuses it.
    """
    about = str(package.spec["pipelineInfo"].get("description", ""))
    body = {"name": package.name, "display_name": package.name, "description": about}
    pipeline, _ = _found_or_made(
        lambda: client.find_pipeline(package.name),
        lambda: client.pipelines.pipeline_service_create_pipeline(body | client.within),
    )
    name = package.version_name

    def upload() -> "PipelineVersion":
        with tempfile.TemporaryDirectory(prefix="spatialreward-") as folder:
            file = Path(folder) / "pipeline.yaml"
            file.write_bytes(package.content)
            return client.uploads.upload_pipeline_version(
                str(file),
                name=name,
                pipelineid=pipeline.pipeline_id,
                description=", ".join(filter(None, [note, f"sha256 {package.sha256}"])),
            )

    return _found_or_made(lambda: client.find_version(pipeline.pipeline_id, name), upload)


def start(client: "KubeflowPipelines", made_of: "PipelineVersion", request: Request) -> "Run":
    """Start one run.

    Raises:
        OutcomeUnknown: the answer was lost, and no such run has appeared; none was started again.
        KubeflowError: the server cannot be asked, or refuses it.
    """
    body, name = _body(client, made_of, request), request.run_name
    return _made_once(
        client,
        lambda: client.runs.run_service_create_run(body),
        lambda: client.list_runs(display_name=name),
        body["description"],
        f"whether run {name} was started is not known; look with `spatialreward runs list`",
    )


def schedule(
    client: "KubeflowPipelines",
    made_of: "PipelineVersion",
    request: Request,
    trigger: Mapping[str, Any],
) -> "RecurringRun":
    """Let the server start runs, one at a time, without making up for missed ones.

    Raises:
        OutcomeUnknown: the answer was lost, and no such schedule has appeared; none was made again.
        KubeflowError: the server cannot be asked, or refuses it.
    """
    rules = {"trigger": trigger, "max_concurrency": "1", "no_catchup": True, "mode": "ENABLE"}
    body, name = _body(client, made_of, request) | rules, request.run_name
    return _made_once(
        client,
        lambda: client.schedules.recurring_run_service_create_recurring_run(body),
        lambda: client.list_schedules(display_name=name),
        body["description"],
        f"whether schedule {name} was made is not known; look with `spatialreward runs schedules`",
    )


def _body(
    client: "KubeflowPipelines", made_of: "PipelineVersion", request: Request
) -> dict[str, Any]:
    """The part that runs and schedules share; the description ends in the submission's mark."""
    experiment, _ = _found_or_made(
        lambda: client.find_experiment(request.experiment),
        lambda: client.experiments.experiment_service_create_experiment(
            {"display_name": request.experiment, **client.within}
        ),
    )
    mark = f"by spatialreward {version('spatialreward')}, submission {secrets.token_hex(16)}"
    account = request.service_account
    return {
        "display_name": request.run_name,
        "description": ", ".join(filter(None, [request.note, mark])),
        "experiment_id": experiment.experiment_id,
        "pipeline_version_reference": {
            "pipeline_id": made_of.pipeline_id,
            "pipeline_version_id": made_of.pipeline_version_id,
        },
        "runtime_config": {"parameters": dict(request.parameters)},
        **({"service_account": account} if account else {}),
    }


def _found_or_made(find: Callable[[], Made | None], make: Callable[[], Made]) -> tuple[Made, bool]:
    """A thing whose name the server takes only once, and whether it was there before."""
    if (found := find()) is not None:
        return found, True
    try:
        return make(), False
    except (AlreadyThere, AnswerLost, ServerFault):
        # Another client was faster, or the answer to this one was lost.
        if (found := find()) is None:
            raise
        return found, True


def _made_once(
    client: "KubeflowPipelines",
    make: Callable[[], Any],
    alike: Callable[[], Iterable[Any]],
    description: str,
    unknown: str,
) -> Any:
    """Make something, and if the answer is lost, look for its description."""
    try:
        return make()
    except (AnswerLost, ServerFault) as error:
        logger.warning("%s; looking whether it was made", error)
        fault = error
    looked = False
    for wait_s in _LOOK_AGAIN_S:
        client.sleep(wait_s)
        try:
            found = next((one for one in alike() if one.description == description), None)
        except KubeflowError as error:
            logger.debug("%s", error)
            continue
        looked = True
        if found is not None:
            return found
    if looked and isinstance(fault, ServerFault):
        raise fault
    raise OutcomeUnknown(f"{client.server}: {unknown} before you submit again") from fault
