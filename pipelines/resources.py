"""What one step's container asks the cluster for, and how it is treated there.

On one machine none of this has an effect; a run there only makes sure that the machine has it.
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
    """A taint of nodes that a step's pod may be put on nevertheless."""

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
    """One step's; what is not given is left to the cluster."""

    gpus: int = Field(0, ge=0, le=8)
    gpu_type: LabelValue | None = None
    """Product, as NVIDIA's device plugin labels nodes with it: ``NVIDIA-H100-80GB-HBM3``."""
    cpus: PositiveInt | None = None
    memory_gib: PositiveInt | None = None
    shm_gib: PositiveInt | None = None
    """Of ``/dev/shm``, which counts as memory; without it there are the usual 64 MiB."""
    work_gib: PositiveInt | None = None
    """The most that ``/work`` may hold, on the node's disk; more and the pod is evicted."""
    node_selector: dict[LabelKey, LabelValue] = {}  # noqa: RUF012 - pydantic copies it
    tolerations: tuple[Toleration, ...] = ()
    priority: LabelValue | None = None
    """A WorkloadPriorityClass of Kueue."""
    timeout_s: PositiveInt | None = None
    """Of one attempt, from when its pod has a node."""
    retries: int = Field(0, ge=0, le=10)
    """Further attempts; a step that another attempt cannot help is not retried."""
    num_nodes: PositiveInt = 1
    """Nodes that train together, each with these resources; for ``train_judge`` and
    ``finetune_editor``."""
    parallel: PositiveInt | None = None
    """Most tasks of the step at one time, where there is one for every shard."""

    @model_validator(mode="after")
    def _type_of_something(self) -> Self:
        if self.gpu_type and not self.gpus:
            raise ValueError("gpu_type is given, but gpus is 0")
        return self
