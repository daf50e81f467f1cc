"""The pipeline interface of the judge's registration and deployment, and of a run's start and end.

The first and the last step of a pipeline need only MLflow and the cluster, as this image does.
"""

from kfp import dsl

IMAGE = "spatialreward/reward-deployment:0.1.0"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register_judge(config: str, judge: str, evaluation: str, parent_run_id: str) -> str:
    """Register a judge and check it against its gate; returns ``models:/NAME/VERSION``."""
    from components.reward_deployment.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(
        app,
        "register-judge",
        config=config,
        judge=judge,
        evaluation=evaluation,
        parent_run_id=parent_run_id,
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy_judge(model: str, parent_run_id: str) -> str:
    """Serve a registered judge; returns the reference of the served checkpoint."""
    from components.reward_deployment.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(app, "deploy-judge", model=model, parent_run_id=parent_run_id)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def open_run(name: str, profile: str, settings: str, parent_run_id: str) -> str:
    """Open the pipeline's run in MLflow unless it is open; returns its id."""
    from components.reward_deployment.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(
        app,
        "open-run",
        name=name,
        profile=profile,
        settings=settings,
        parent_run_id=parent_run_id,
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def close_run(
    status: dsl.PipelineTaskFinalStatus, has_train_jobs: bool, last_step: str, parent_run_id: str
) -> str:
    """Release GPUs and record the pipeline's outcome; returns it in one line."""
    import json

    from components.reward_deployment.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(
        app,
        "close-run",
        always=True,
        status=json.dumps({"state": status.state, "message": status.error_message or ""}),
        has_train_jobs=has_train_jobs,
        last_step=last_step,
        parent_run_id=parent_run_id,
    )
