"""Resources and scheduling of one step's container in a cluster.

Without effect on one machine; a local run only checks that the machine has them.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from spatialreward.records import Record

_LABEL_VALUE = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
LabelValue = Annotated[str, Field(pattern=_LABEL_VALUE)]
LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?" + _LABEL_VALUE[1:])
]


class Toleration(Record):
    """A node taint that a step's pod tolerates."""

    key: LabelKey
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    """Of the taint; for ``Equal`` alone."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """None: any."""

    @model_validator(mode="after")
    def _value_fits_the_operator(self) -> Self:
        if (self.operator == "Equal") != (self.value is not None):
            needs = "needs a value" if self.operator == "Equal" else "takes no value"
            raise ValueError(f"operator {self.operator} {needs}")
        return self


class Resources(Record):
    """Resources of one step; unset ones are left to the cluster."""

    gpus: int = Field(0, ge=0, le=8)
    gpu_type: LabelValue | None = None
    """Product in NVIDIA's node label: ``NVIDIA-H100-80GB-HBM3``."""
    cpus: PositiveInt | None = None
    memory_gib: PositiveInt | None = None
    shm_gib: PositiveInt | None = None
    """Of ``/dev/shm``, which counts as memory; default: the usual 64 MiB."""
    work_gib: PositiveInt | None = None
    """Limit of ``/work`` on the node's disk; the pod is evicted beyond it."""
    node_selector: dict[LabelKey, LabelValue] = {}  # noqa: RUF012 - pydantic copies it
    tolerations: tuple[Toleration, ...] = ()
    priority: LabelValue | None = None
    """A WorkloadPriorityClass of Kueue."""
    timeout_s: PositiveInt | None = None
    """Of one attempt, from when its pod has a node."""
    retries: int = Field(0, ge=0, le=10)
    """Further attempts; a step that a retry cannot help is not retried."""
    num_nodes: PositiveInt = 1
    """Nodes of a distributed training, each with these resources; for ``train_judge`` and
    ``finetune_editor``."""
    parallel: PositiveInt | None = None
    """Most parallel tasks of a step with one task per shard."""

    @model_validator(mode="after")
    def _type_of_something(self) -> Self:
        if self.gpu_type and not self.gpus:
            raise ValueError("gpu_type is given, but gpus is 0")
        return self
