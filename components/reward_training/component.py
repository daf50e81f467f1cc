"""The judge's training as the pipeline sees it."""

from kfp import dsl

IMAGE = "spatialreward/reward-training:0.1.0"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_judge(config: str, data: str, parent_run_id: str) -> str:
    """Train a judge on a data set; returns the checkpoint's reference."""
    from components.reward_training.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(app, "train-judge", config=config, data=data, parent_run_id=parent_run_id)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_judge_on_nodes(config: str, nodes: str, data: str, parent_run_id: str) -> str:
    """Train a judge on several nodes, as a TrainJob; returns the checkpoint's reference."""
    from components.reward_training.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(
        app,
        "train-judge-on-nodes",
        config=config,
        nodes=nodes,
        data=data,
        parent_run_id=parent_run_id,
    )
