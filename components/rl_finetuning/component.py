"""The pipeline interface of the editor's training."""

from kfp import dsl

IMAGE = "spatialreward/rl-finetuning:0.1.0"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def pretrain_editor(
    config: str, data: str, parent_run_id: str, model: dsl.Output[dsl.Model]
) -> str:
    """Train the initial editor of RL; returns its reference."""
    from components.rl_finetuning.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(
        app, "pretrain-editor", config=config, data=data, parent_run_id=parent_run_id
    )
    model.metadata["reference"] = answer
    return answer


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def import_editor(config: str, parent_run_id: str, model: dsl.Output[dsl.Model]) -> str:
    """Import an editor with published weights; returns its reference."""
    from components.rl_finetuning.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(app, "import-editor", config=config, parent_run_id=parent_run_id)
    model.metadata["reference"] = answer
    return answer


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def draw_edits(
    config: str, editor: str, parent_run_id: str, dataset: dsl.Output[dsl.Dataset]
) -> str:
    """Draw edits for the judge's data with an editor; returns the data set's reference."""
    from components.rl_finetuning.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(
        app, "draw-edits", config=config, editor=editor, parent_run_id=parent_run_id
    )
    dataset.metadata["reference"] = answer
    return answer


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finetune_editor(
    config: str,
    editor: str,
    served: str,
    data: str,
    heldout: str,
    parent_run_id: str,
    model: dsl.Output[dsl.Model],
) -> str:
    """Fine-tune an editor with the served judge's rewards; returns its reference."""
    from components.rl_finetuning.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(
        app,
        "finetune-editor",
        config=config,
        editor=editor,
        served=served,
        data=data,
        heldout=heldout,
        parent_run_id=parent_run_id,
    )
    model.metadata["reference"] = answer
    return answer


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finetune_editor_on_nodes(
    config: str,
    nodes: str,
    editor: str,
    served: str,
    data: str,
    heldout: str,
    parent_run_id: str,
    model: dsl.Output[dsl.Model],
) -> str:
    """Fine-tune an editor on several nodes, with a TrainJob; returns its reference."""
    from components.rl_finetuning.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(
        app,
        "finetune-editor-on-nodes",
        config=config,
        nodes=nodes,
        editor=editor,
        served=served,
        data=data,
        heldout=heldout,
        parent_run_id=parent_run_id,
    )
    model.metadata["reference"] = answer
    return answer
