"""Whether a version's servers are ready, and if not, why."""

from collections.abc import Iterator
from typing import NamedTuple

from spatialreward.ops.deployer.kubernetes.api import POD, Api, Kind, Object
from spatialreward.ops.deployer.kubernetes.template import VERSION_LABEL
from spatialreward.ops.deployment.errors import DeploymentError


class Readiness(NamedTuple):
    """How far one object of a version is."""

    ready: bool
    """All of its servers are as they should be."""
    answers: bool
    """One of its servers at least can be asked."""
    told: str
    hopeless: bool = False
    """Waiting longer does not help."""


def readiness_of(found: Object | None, what: str) -> Readiness:
    """How far an object is that was applied.

    Args:
        found: as the cluster has it; None: it is gone.
        what: its kind and name, for people.
    """
    if found is None:
        return Readiness(False, False, f"{what} is gone")
    match found["kind"]:
        case "Deployment":
            return _of_deployment(found, what)
        case "InferenceService":
            ready = _condition(found, "Ready")
            is_ready = ready.get("status") == "True" and _is_seen(found)
            told = ready.get("message") or ready.get("reason") or "not ready"
            return Readiness(is_ready, is_ready, f"{what}: {told}")
        case _:
            return Readiness(True, True, f"{what} is there")


def trouble_of(api: Api, version: int, max_restarts: int) -> str:
    """What the pods of a version complain of; empty: nothing.

    Raises:
        DeploymentError: a container ended again and again; the message says what it said last.
    """
    complaints = []
    for pod in api.list(POD, {VERSION_LABEL: str(version)}):
        for name, container in _containers(pod):
            complaint = _complaint(container)
            if not complaint:
                continue
            told = f"{pod['metadata']['name']}, {name}: {complaint}"
            if container.get("restartCount", 0) >= max_restarts:
                raise DeploymentError(f"{told}, {container['restartCount']} times")
            complaints.append(told)
    return "; ".join(complaints)


def pod_addresses(api: Api, version: int) -> dict[str, str]:
    """The addresses of a version's pods, by their names.

    Raises:
        DeploymentError: the cluster cannot be asked.
    """
    pods = api.list(POD, {VERSION_LABEL: str(version)})
    return {
        pod["metadata"]["name"]: pod["status"]["podIP"]
        for pod in pods
        if pod.get("status", {}).get("podIP")
    }


def needs_readiness(kind: Kind) -> bool:
    """Whether objects of a kind have servers of their own."""
    return kind.name in ("Deployment", "InferenceService")


def _of_deployment(found: Object, what: str) -> Readiness:
    status = found.get("status", {})
    wanted = found["spec"].get("replicas", 1)
    available, updated = status.get("availableReplicas", 0), status.get("updatedReplicas", 0)
    progressing = _condition(found, "Progressing")
    hopeless = (
        progressing.get("status") == "False"
        and progressing.get("reason") == "ProgressDeadlineExceeded"
        and _is_seen(found)
    )
    told = f"{what}: {available} of {wanted} servers ready"
    if hopeless:
        told += f", {progressing.get('message', 'it made no progress in time')}"
    is_ready = _is_seen(found) and wanted > 0 and updated >= wanted and available >= wanted
    return Readiness(is_ready, available > 0, told, hopeless)


def _is_seen(found: Object) -> bool:
    """Whether the cluster's status is about the object as it is now."""
    generation = found["metadata"].get("generation", 0)
    return found.get("status", {}).get("observedGeneration", 0) >= generation


def _condition(found: Object, kind: str) -> Object:
    conditions = found.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one.get("type") == kind), {})


def _containers(pod: Object) -> Iterator[tuple[str, Object]]:
    status = pod.get("status", {})
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group, []):
            yield container["name"], container


def _complaint(container: Object) -> str:
    """Why a container does not run, when it is not just being started."""
    state = container.get("state", {})
    waiting, ended = state.get("waiting", {}), state.get("terminated", {})
    last = container.get("lastState", {}).get("terminated", {})
    if ended.get("exitCode"):
        return _end(ended)
    if waiting.get("reason", "") in ("", "PodInitializing", "ContainerCreating"):
        return ""
    told = f"{waiting['reason']} {waiting.get('message', '')}".strip()
    return f"{told}, {_end(last)}" if last else told


def _end(ended: Object) -> str:
    told = f"ended with status {ended.get('exitCode')}"
    message = " ".join(ended.get("message", "").split())
    return f"{told} ({message})" if message else told
