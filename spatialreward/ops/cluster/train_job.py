"""A step's training as a TrainJob of Kubeflow Trainer (``trainer.kubeflow.org/v1alpha1``).

Our ``ClusterTrainingRuntime`` says what every such training has: its pods' volumes, their security
context and how processes find each other. Here is what one training wants.
"""

from typing import Any

from pydantic import Field, PositiveInt

from spatialreward.ops.cluster.api import Cluster, Object, Resource
from spatialreward.records import Record

TRAIN_JOB = Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob")
RUNTIME = "spatialreward-torch"
RUN_LABEL = "spatialreward.dev/run"
"""The platform's id of the run that a TrainJob is for; the run's last step looks for it."""
NODES = "node"
"""The runtime's replicated job that trains, and its container."""
_SHM = "shared-memory"
"""The runtime's volume at ``/dev/shm``."""
_MANAGER = "spatialreward.dev/launcher"
_GPU = "nvidia.com/gpu"
_KEY_LETTERS = 16


class Nodes(Record):
    """What trains together, each node with the same."""

    image: str
    num_nodes: PositiveInt
    gpus: int = Field(0, ge=0)
    """A node; there is one process a GPU, or one process."""
    cpus: PositiveInt | None = None
    memory_gib: PositiveInt | None = None
    shm_gib: PositiveInt | None = None
    timeout_s: PositiveInt | None = None
    """Of the training, from when its nodes are there."""
    node_selector: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it
    tolerations: tuple[dict[str, str], ...] = ()
    labels: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it
    """Of the TrainJob and of its pods."""
    queue_labels: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it
    """Of the TrainJob alone, which a queue admits as a whole."""
    config_map_env: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - pydantic copies it
    """Keys of each ConfigMap that processes have as variables of the same name."""
    secret_env: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - pydantic copies it
    """Of each Secret, as references."""


def job_name(step: str, key: str) -> str:
    """The TrainJob of a step's key: another attempt at the step comes to the same."""
    return f"{step}-{key[:_KEY_LETTERS]}"


def train_job(name: str, nodes: Nodes, command: list[str], run: str, env: dict[str, str]) -> Object:
    """The object to create.

    Args:
        name: of the TrainJob.
        nodes: what trains.
        command: what ``torchrun`` starts in every process, after ``torchrun``.
        run: the platform's id of the pipeline's run; empty for none.
        env: further variables of the processes.
    """
    labels = nodes.labels | ({RUN_LABEL: run} if run else {})
    processes = max(nodes.gpus, 1)
    spec: dict[str, Any] = {
        "runtimeRef": {
            "apiGroup": TRAIN_JOB.group,
            "kind": "ClusterTrainingRuntime",
            "name": RUNTIME,
        },
        "trainer": {
            "image": nodes.image,
            "command": ["torchrun", *command],
            "numNodes": nodes.num_nodes,
            "numProcPerNode": processes,
            "env": _env(nodes, env),
        },
        "runtimePatches": [_patch(nodes, labels)],
    }
    if wanted := _resources(nodes):
        spec["trainer"]["resourcesPerNode"] = {"requests": wanted, "limits": wanted}
    if nodes.timeout_s:
        spec["activeDeadlineSeconds"] = nodes.timeout_s
    return {
        "apiVersion": f"{TRAIN_JOB.group}/{TRAIN_JOB.version}",
        "kind": TRAIN_JOB.kind,
        "metadata": {"name": name, "labels": labels | nodes.queue_labels},
        "spec": spec,
    }


def delete_train_jobs(cluster: Cluster, run: str) -> list[str]:
    """Delete all TrainJobs of a pipeline's run; returns their names.

    Args:
        cluster: where they are.
        run: the platform's id of it.

    Raises:
        ClusterUnavailable: the API does not answer.
        ClusterError: it refuses.
    """
    jobs = cluster.find(TRAIN_JOB, f"{RUN_LABEL}={run}")
    names = [job["metadata"]["name"] for job in jobs]
    for name in names:
        cluster.delete(TRAIN_JOB, name)
    return names


def _env(nodes: Nodes, env: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": name, "value": env[name]} for name in sorted(env)]
    for kind, sources in (
        ("configMapKeyRef", nodes.config_map_env),
        ("secretKeyRef", nodes.secret_env),
    ):
        found += [
            {"name": key, "valueFrom": {kind: {"name": source, "key": key}}}
            for source, keys in sources.items()
            for key in keys
        ]
    return found


def _resources(nodes: Nodes) -> dict[str, str]:
    wanted = {
        "cpu": nodes.cpus and str(nodes.cpus),
        "memory": nodes.memory_gib and f"{nodes.memory_gib}Gi",
        _GPU: nodes.gpus and str(nodes.gpus),
    }
    return {name: value for name, value in wanted.items() if value}


def _patch(nodes: Nodes, labels: dict[str, str]) -> dict[str, Any]:
    """What the pods of the runtime have besides."""
    pod: dict[str, Any] = {}
    if nodes.node_selector:
        pod["nodeSelector"] = nodes.node_selector
    if nodes.tolerations:
        pod["tolerations"] = list(nodes.tolerations)
    if nodes.shm_gib:
        size = f"{nodes.shm_gib}Gi"
        pod["volumes"] = [{"name": _SHM, "emptyDir": {"medium": "Memory", "sizeLimit": size}}]
    template = {"metadata": {"labels": labels}, "spec": pod}
    job = {"name": NODES, "template": {"spec": {"template": template}}}
    return {
        "manager": _MANAGER,
        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}},
    }
