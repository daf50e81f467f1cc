"""Container entry of the judge's registration and deployment."""

from typing import Annotated

import typer

from spatialreward.cli.container import Config, ParentRunId, Reference, container_entry

app = container_entry("Registers judges that pass their gate, and serves them.")


@app.command()
def register_judge(
    config: Config,
    judge: Reference,
    evaluation: Annotated[
        str, typer.Option(metavar="JSON", help="Output of evaluate-judge for this judge.")
    ],
    parent_run_id: ParentRunId = "",
) -> str:
    """Register a judge as candidate, and as champion when it passes the gate; prints its URI."""
    from components.reward_deployment import steps
    from spatialreward.ops.config import JudgeRegistrationStep, read_settings

    settings = read_settings(JudgeRegistrationStep, config, "--config")
    return steps.register_judge(settings, judge, evaluation, parent_run_id)


@app.command()
def deploy_judge(
    model: Annotated[str, typer.Option(metavar="models:/NAME@ALIAS", help="Model to serve.")],
    parent_run_id: ParentRunId = "",
) -> str:
    """Serve a registered judge on Triton; prints the reference of the served checkpoint."""
    from components.reward_deployment import steps

    return steps.deploy_judge(model, parent_run_id)


@app.command()
def open_run(
    name: Annotated[str, typer.Option(help="Of the run.")],
    profile: Annotated[str, typer.Option(help="The profile's name, for a tag.")],
    settings: Annotated[str, typer.Option(metavar="JSON", help="The pipeline's settings.")],
    parent_run_id: ParentRunId = "",
) -> str:
    """Open a pipeline's run in MLflow unless it is open; prints its id."""
    from components.reward_deployment import run_steps

    return run_steps.open_run(name, profile, settings, parent_run_id)


@app.command()
def close_run(
    status: Annotated[
        str, typer.Option(metavar="JSON", help="The platform's state and message of all steps.")
    ],
    has_train_jobs: Annotated[
        bool, typer.Option(help="Whether the pipeline creates TrainJobs.")
    ] = False,
    last_step: Annotated[
        str,
        typer.Option(help="The step that finishes last; for a platform without a final status."),
    ] = "",
    parent_run_id: ParentRunId = "",
) -> str:
    """Release resources that steps still hold, and record the pipeline's outcome in MLflow."""
    from components.reward_deployment import run_steps

    return run_steps.close_run(
        status,
        has_train_jobs=has_train_jobs,
        last_step=last_step,
        parent_run_id=parent_run_id,
    )


if __name__ == "__main__":
    app()
