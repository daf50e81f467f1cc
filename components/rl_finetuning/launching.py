"""Fine-tunes an editor on several nodes: the step ``finetune-editor`` as a TrainJob."""

from components.rl_finetuning.steps import TaskData, finetuning_step, reference
from spatialreward.ops.cluster.following import USUAL_PACE, Pace
from spatialreward.ops.cluster.launching import run_on_nodes
from spatialreward.ops.cluster.train_job import Nodes
from spatialreward.ops.config import EditorRlStep


def finetune_editor_on_nodes(
    config: EditorRlStep,
    nodes: Nodes,
    editor: str,
    served: str,
    parent_run_id: str,
    tasks: TaskData,
    pace: Pace = USUAL_PACE,
) -> str:
    """Fine-tune an editor on several nodes; returns the same as ``finetune_editor``.

    Raises:
        InvalidInputError: the prompts are not a data set.
        TrainJobError: the training failed, or left no editor.
        ClusterError: the cluster refuses, or was unreachable for too long.
    """
    step = finetuning_step(config, editor, served, tasks)
    return reference(run_on_nodes(step, nodes, parent_run_id, pace))
