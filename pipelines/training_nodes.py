"""A step that trains on several nodes: resources of the nodes, and of its launcher."""

from kfp import dsl

from pipelines.placement import (
    ENDPOINT_KEYS,
    ENDPOINTS,
    STORE_KEYS,
    STORE_SECRET,
    Placement,
    node_selector,
    queue_labels,
    toleration,
)
from pipelines.resources import Resources
from spatialreward.ops.cluster.train_job import Nodes


def nodes_of(placement: Placement, step: str, component: dsl.base_component.BaseComponent) -> Nodes:
    """The TrainJob settings of a step.

    Raises:
        InvalidInputError: the component's image is missing from the lock.
    """
    wanted = placement.resources(step)
    queue = queue_labels(wanted)
    labels = placement.labels(step, wanted)
    return Nodes(
        image=placement.images.find(component.component_spec.implementation.container.image),
        num_nodes=wanted.num_nodes,
        gpus=wanted.gpus,
        cpus=wanted.cpus,
        memory_gib=wanted.memory_gib,
        shm_gib=wanted.shm_gib,
        timeout_s=wanted.timeout_s,
        node_selector=node_selector(wanted),
        tolerations=tuple(map(toleration, wanted.tolerations)),
        labels={key: value for key, value in labels.items() if key not in queue},
        queue_labels=queue,
        config_map_env={ENDPOINTS: ENDPOINT_KEYS},
        secret_env={STORE_SECRET: STORE_KEYS},
    )


def launcher_resources(wanted: Resources) -> Resources:
    """Resources of the step that only follows: small, and without GPUs.

    It waits as long as the TrainJob waits for its nodes, so the time limit is the TrainJob's.
    """
    return Resources(cpus=1, memory_gib=2, retries=wanted.retries)
