"""The judge's registration and deployment as the pipeline sees them."""

from kfp import dsl

IMAGE = "spatialreward/reward-deployment:0.1.0"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register_judge(config: str, judge: str, figures: str, parent_run_id: str) -> str:
    """Register a judge and put it to its gate; returns ``models:/NAME/VERSION``."""
    from components.reward_deployment.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(
        app,
        "register-judge",
        config=config,
        judge=judge,
        figures=figures,
        parent_run_id=parent_run_id,
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy_judge(model: str, parent_run_id: str) -> str:
    """Serve a registered judge; returns the reference of what is served."""
    from components.reward_deployment.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(app, "deploy-judge", model=model, parent_run_id=parent_run_id)
