"""The pipeline interface of the editor's evaluation and registration."""

from kfp import dsl

IMAGE = "spatialreward/editor-evaluation:0.1.0"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def compare_editors(
    config: str,
    before: str,
    after: str,
    served: str,
    heldout: str,
    parent_run_id: str,
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Compare an editor before and after RL; returns figures and report's reference as JSON."""
    import json

    from components.editor_evaluation.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(
        app,
        "compare-editors",
        config=config,
        before=before,
        after=after,
        served=served,
        heldout=heldout,
        parent_run_id=parent_run_id,
    )
    for name, value in json.loads(answer)["editor"].items():
        metrics.log_metric(name, value)
    return answer


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register_editor(config: str, editor: str, evaluation: str, parent_run_id: str) -> str:
    """Register an editor; returns ``models:/NAME/VERSION``."""
    from components.editor_evaluation.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(
        app,
        "register-editor",
        config=config,
        editor=editor,
        evaluation=evaluation,
        parent_run_id=parent_run_id,
    )
