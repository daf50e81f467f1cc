"""Container entry of the judge's training."""

from typing import Annotated

import typer

from spatialreward.cli.container import Config, ParentRunId, Reference, container_entry

app = container_entry("Trains judges.")


Drawn = Annotated[
    str,
    typer.Option(metavar="S3_REF", help="Edits that an editor drew; empty if drawn_share is 0."),
]


@app.command()
def train_judge(
    config: Config, data: Reference, drawn: Drawn = "", parent_run_id: ParentRunId = ""
) -> str:
    """Train a judge on a data set and print its reference; torchrun may start several processes."""
    from components.reward_training import steps
    from spatialreward.ops.config import JudgeTrainingStep, read_settings

    settings = read_settings(JudgeTrainingStep, config, "--config")
    return steps.train_judge(settings, data, parent_run_id, drawn)


@app.command()
def tune_judge(
    config: Config,
    judge: Annotated[
        str, typer.Option(metavar="S3_REF", help="The initial judge, the output of train-judge.")
    ],
    data: Reference,
    parent_run_id: ParentRunId = "",
) -> str:
    """Train a judge on rewards for its own answers; prints the new judge's reference."""
    from components.reward_training import steps
    from spatialreward.ops.config import JudgeTuningStep, read_settings

    settings = read_settings(JudgeTuningStep, config, "--config")
    return steps.tune_judge(settings, judge, data, parent_run_id)


@app.command()
def train_judge_on_nodes(
    config: Config,
    nodes: Annotated[str, typer.Option(metavar="JSON", help="The nodes of the training: Nodes.")],
    data: Reference,
    drawn: Drawn = "",
    parent_run_id: ParentRunId = "",
) -> str:
    """Train a judge on several nodes with a TrainJob, follow it, and print its reference."""
    from components.reward_training import launching
    from spatialreward.ops.cluster.train_job import Nodes
    from spatialreward.ops.config import JudgeTrainingStep, read_settings

    settings = read_settings(JudgeTrainingStep, config, "--config")
    wanted = read_settings(Nodes, nodes, "--nodes")
    return launching.train_judge_on_nodes(settings, wanted, data, parent_run_id, drawn=drawn)


if __name__ == "__main__":
    app()
