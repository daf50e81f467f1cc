"""The pipeline interface of the judge's training."""

from typing import NamedTuple

from kfp import dsl

IMAGE = "spatialreward/reward-training:0.1.0"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_judge(
    config: str, data: str, drawn: str, parent_run_id: str, model: dsl.Output[dsl.Model]
) -> NamedTuple("Judges", [("judge", str), ("earlier", str)]):
    """Train a judge on a data set; returns references of the judge and of an earlier checkpoint.

    The latter is empty if none is kept, and ``drawn`` if no drawn edits are trained on.
    """
    from components.reward_training.__main__ import app
    from spatialreward.cli.container import run_as_task

    made = run_as_task(
        app, "train-judge", config=config, data=data, drawn=drawn, parent_run_id=parent_run_id
    )
    judge, _, earlier = made.partition(" ")
    model.metadata["reference"] = judge
    return judge, earlier


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_judge_on_nodes(
    config: str, nodes: str, data: str, drawn: str, parent_run_id: str, model: dsl.Output[dsl.Model]
) -> NamedTuple("Judges", [("judge", str), ("earlier", str)]):
    """Train a judge on several nodes, with a TrainJob; returns the same as ``train_judge``."""
    from components.reward_training.__main__ import app
    from spatialreward.cli.container import run_as_task

    made = run_as_task(
        app,
        "train-judge-on-nodes",
        config=config,
        nodes=nodes,
        data=data,
        drawn=drawn,
        parent_run_id=parent_run_id,
    )
    judge, _, earlier = made.partition(" ")
    model.metadata["reference"] = judge
    return judge, earlier


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def tune_judge(
    config: str, judge: str, data: str, parent_run_id: str, model: dsl.Output[dsl.Model]
) -> str:
    """Train a judge on rewards for its own answers; returns the new judge's reference."""
    from components.reward_training.__main__ import app
    from spatialreward.cli.container import run_as_task

    tuned = run_as_task(
        app, "tune-judge", config=config, judge=judge, data=data, parent_run_id=parent_run_id
    )
    model.metadata["reference"] = tuned
    return tuned
