"""Container entry of the editor's training."""

from typing import Annotated

import typer

from spatialreward.cli.container import Config, ParentRunId, Reference, container_entry

app = container_entry("Makes an editor and fine-tunes it against the served judge.")

Tasks = Annotated[str, typer.Option(metavar="S3_REF", help="Data set with the editor's tasks.")]
WatchedTasks = Annotated[
    str, typer.Option(metavar="S3_REF", help="Data set with the watch's tasks.")
]


@app.command()
def pretrain_editor(config: Config, data: Reference, parent_run_id: ParentRunId = "") -> str:
    """Train the initial editor of RL; prints its reference."""
    from components.rl_finetuning import steps
    from spatialreward.ops.config import EditorPretrainingStep, read_settings

    settings = read_settings(EditorPretrainingStep, config, "--config")
    return steps.pretrain_editor(settings, data, parent_run_id)


@app.command()
def import_editor(config: Config, parent_run_id: ParentRunId = "") -> str:
    """Import an editor with published weights for RL; prints its reference."""
    from components.rl_finetuning import steps
    from spatialreward.ops.config import EditorImportStep, read_settings

    settings = read_settings(EditorImportStep, config, "--config")
    return steps.import_editor(settings, parent_run_id)


@app.command()
def draw_edits(config: Config, editor: Reference, parent_run_id: ParentRunId = "") -> str:
    """Draw edits for the judge's data with an editor; prints the data set's reference."""
    from components.rl_finetuning import steps
    from spatialreward.ops.config import EditDrawingStep, read_settings

    settings = read_settings(EditDrawingStep, config, "--config")
    return steps.draw_edits(settings, editor, parent_run_id)


@app.command()
def finetune_editor(
    config: Config,
    editor: Reference,
    served: Reference,
    data: Tasks = "",
    heldout: WatchedTasks = "",
    parent_run_id: ParentRunId = "",
) -> str:
    """Fine-tune an editor with the served judge's rewards; torchrun may start several processes."""
    from components.rl_finetuning import steps
    from spatialreward.ops.config import EditorRlStep, read_settings

    settings = read_settings(EditorRlStep, config, "--config")
    tasks = steps.TaskData(data, heldout)
    return steps.finetune_editor(settings, editor, served, parent_run_id, tasks)


@app.command()
def finetune_editor_on_nodes(
    config: Config,
    nodes: Annotated[str, typer.Option(metavar="JSON", help="The nodes of the training: Nodes.")],
    editor: Reference,
    served: Reference,
    data: Tasks = "",
    heldout: WatchedTasks = "",
    parent_run_id: ParentRunId = "",
) -> str:
    """Fine-tune an editor on several nodes with a TrainJob, follow it, and print its reference."""
    from components.rl_finetuning import launching, steps
    from spatialreward.ops.cluster.train_job import Nodes
    from spatialreward.ops.config import EditorRlStep, read_settings

    settings = read_settings(EditorRlStep, config, "--config")
    wanted = read_settings(Nodes, nodes, "--nodes")
    tasks = steps.TaskData(data, heldout)
    return launching.finetune_editor_on_nodes(
        settings, wanted, editor, served, parent_run_id, tasks
    )


if __name__ == "__main__":
    app()
