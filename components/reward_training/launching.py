"""Trains a judge on several nodes: the step ``train-judge`` as a TrainJob."""

from components.reward_training.steps import references, training_step
from spatialreward.ops.cluster.following import USUAL_PACE, Pace
from spatialreward.ops.cluster.launching import run_on_nodes
from spatialreward.ops.cluster.train_job import Nodes
from spatialreward.ops.config import JudgeTrainingStep


def train_judge_on_nodes(
    config: JudgeTrainingStep,
    nodes: Nodes,
    data: str,
    parent_run_id: str,
    pace: Pace = USUAL_PACE,
    *,
    drawn: str = "",
) -> str:
    """Train a judge on several nodes; returns the same as ``train_judge``.

    Raises:
        TrainJobError: the training failed, or left no checkpoint.
        ClusterError: the cluster refuses, or was unreachable for too long.
    """
    step = training_step(config, data, drawn)
    return references(run_on_nodes(step, nodes, parent_run_id, pace))
