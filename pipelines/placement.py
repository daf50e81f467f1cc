"""A step's pod in a cluster: image, resources, and environment.

kfp-kubernetes (2.17) has no priority classes, read-only roots, volume groups or seccomp profiles.
Priorities are therefore Kueue's, by label, and the rest is left to the namespace's admission
(docs/pipeline.md). kfp's local runner ignores all of it.
"""

import re
from collections.abc import Mapping, Sequence

from kfp import dsl, kubernetes

from pipelines.images import BY_TAG, Images
from pipelines.resources import Resources, Toleration
from spatialreward.ops.attempts import RETRIES_INSIDE
from spatialreward.ops.pipeline_run import PLATFORM_RUN

GPU = "nvidia.com/gpu"
GPU_TYPE = "nvidia.com/gpu.product"
QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"
QUEUE_NAME = "spatialreward"
"""The LocalQueue in the steps' namespace."""
STEP, PROFILE = "spatialreward.dev/step", "spatialreward.dev/profile"
USER_ID = 10001

ENDPOINTS = "spatialreward-endpoints"
"""ConfigMap with the addresses of services."""
ENDPOINT_KEYS = (
    "S3_ENDPOINT_URL",
    "MLFLOW_S3_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_DISABLE_TELEMETRY",
    "TRITON_GRPC_URL",
)
STORE_SECRET = "object-store-credentials"
STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TEACHER_SECRET, TEACHER_KEY = "teacher-key", "TEACHER_KEY"

_BACKOFF, _BACKOFF_FACTOR, _BACKOFF_MAX = "30s", 2.0, "600s"
_FROM_THE_POD = {PLATFORM_RUN: "metadata.labels['pipeline/runid']"}
_NOT_IN_A_LABEL = re.compile(r"[^A-Za-z0-9._-]+")


class Placement:
    """Placement of a pipeline's tasks: images, resources, volumes."""

    def __init__(self, profile_name: str, resources: Mapping[str, Resources], images: Images):
        """Use a profile's resources, by step."""
        self._profile = _label(profile_name)
        self._resources = resources
        self.images = images

    def resources(self, step: str) -> Resources:
        """The profile's resources of a step."""
        return self._resources.get(step, Resources())

    def parallel(self, step: str) -> int:
        """Most parallel tasks of a step; 0: no limit."""
        return self.resources(step).parallel or 0

    def place(
        self,
        task: dsl.PipelineTask,
        step: str,
        *,
        pure: bool = True,
        in_loop: bool = False,
        resources: Resources | None = None,
    ) -> dsl.PipelineTask:
        """Configure a step's task.

        Args:
            task: modified in place.
            step: its key in the profile.
            pure: whether its output depends only on its arguments and image, so that the platform
                may cache it.
            in_loop: the platform ignores retries in loops, so the step retries by itself.
            resources: replace the profile's.
        """
        wanted = resources or self.resources(step)
        task.set_container_image(self.images.find(task.container_spec.image))
        task.set_caching_options(pure)
        _compute(task, wanted)
        _nodes(task, wanted)
        _retries(task, wanted.retries, in_loop=in_loop)
        if wanted.timeout_s:
            kubernetes.set_timeout(task, wanted.timeout_s)
        _surroundings(task, wanted)
        for key, value in self.labels(step, wanted).items():
            kubernetes.add_pod_label(task, key, value)
        return task

    def labels(self, step: str, wanted: Resources) -> dict[str, str]:
        """Labels of a step's pod."""
        labels = {
            "app.kubernetes.io/name": _label(step.replace("_", "-")),
            "app.kubernetes.io/component": "pipeline-step",
            "app.kubernetes.io/part-of": "spatialreward",
            STEP: _label(step.replace("_", "-")),
            PROFILE: self._profile,
        }
        return labels | queue_labels(wanted)


class Here(Placement):
    """For a run on this machine: steps are processes, without images, limits and nodes.

    Retries only inside loops: no other node can replace this machine.
    """

    def __init__(self, profile_name: str, resources: Mapping[str, Resources]):
        """Use the profile's parallelism, and its retries in loops."""
        super().__init__(profile_name, resources, BY_TAG)

    def place(
        self,
        task: dsl.PipelineTask,
        step: str,
        *,
        pure: bool = True,
        in_loop: bool = False,
        resources: Resources | None = None,
    ) -> dsl.PipelineTask:
        """Leave a task unchanged except for its own retries."""
        if in_loop:
            _retries(task, self.resources(step).retries, in_loop=True)
        return task


def queue_labels(wanted: Resources) -> dict[str, str]:
    """Labels for admission by Kueue, for pods and TrainJobs with GPUs or a priority."""
    if not wanted.gpus and not wanted.priority:
        return {}
    return {QUEUE: QUEUE_NAME} | ({PRIORITY: wanted.priority} if wanted.priority else {})


def node_selector(wanted: Resources) -> dict[str, str]:
    """Labels of a step's nodes."""
    return {**wanted.node_selector, **({GPU_TYPE: wanted.gpu_type} if wanted.gpu_type else {})}


def toleration(one: Toleration) -> dict[str, str]:
    """In Kubernetes' format."""
    return one.model_dump(exclude_none=True)


def give_teacher_key(task: dsl.PipelineTask, variable: str) -> None:
    """Add the teacher's key to a task, if the cluster has one."""
    kubernetes.use_secret_as_env(task, TEACHER_SECRET, {TEACHER_KEY: variable}, optional=True)


def _compute(task: dsl.PipelineTask, wanted: Resources) -> None:
    if wanted.cpus:
        task.set_cpu_request(str(wanted.cpus)).set_cpu_limit(str(wanted.cpus))
    if wanted.memory_gib:
        size = f"{wanted.memory_gib}Gi"
        task.set_memory_request(size).set_memory_limit(size)
    if wanted.gpus:
        task.set_accelerator_type(GPU).set_accelerator_limit(wanted.gpus)


def _nodes(task: dsl.PipelineTask, wanted: Resources) -> None:
    for key, value in node_selector(wanted).items():
        kubernetes.add_node_selector(task, key, value)
    for one in wanted.tolerations:
        kubernetes.add_toleration(task, **toleration(one))


def _retries(task: dsl.PipelineTask, retries: int, *, in_loop: bool) -> None:
    if not retries:
        return
    if in_loop:
        task.set_env_variable(RETRIES_INSIDE, str(retries))
    else:
        task.set_retry(
            retries,
            backoff_duration=_BACKOFF,
            backoff_factor=_BACKOFF_FACTOR,
            backoff_max_duration=_BACKOFF_MAX,
        )


def _surroundings(task: dsl.PipelineTask, wanted: Resources) -> None:
    kubernetes.set_security_context(
        task, run_as_user=USER_ID, run_as_group=USER_ID, run_as_non_root=True
    )
    # Empty folders are writable for everyone; a claimed volume is root's, and kfp-kubernetes cannot
    # assign a group to it.
    work = f"{wanted.work_gib}Gi" if wanted.work_gib else None
    kubernetes.empty_dir_mount(task, "work", "/work", size_limit=work)
    kubernetes.empty_dir_mount(task, "tmp", "/tmp")
    if wanted.shm_gib:
        kubernetes.empty_dir_mount(
            task, "shm", "/dev/shm", medium="Memory", size_limit=f"{wanted.shm_gib}Gi"
        )
    kubernetes.use_config_map_as_env(task, ENDPOINTS, _same(ENDPOINT_KEYS))
    kubernetes.use_secret_as_env(task, STORE_SECRET, _same(STORE_KEYS))
    for name, path in _FROM_THE_POD.items():
        kubernetes.use_field_path_as_env(task, name, path)


def _same(names: Sequence[str]) -> dict[str, str]:
    return {name: name for name in names}


def _label(text: str) -> str:
    """Convert text to a label's value."""
    return _NOT_IN_A_LABEL.sub("-", text)[:63].strip("-._")
