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
        str, typer.Option(metavar="JSON", help="What the evaluation of this judge answered.")
    ],
    parent_run_id: ParentRunId = "",
) -> str:
    """Register a judge as candidate, and as champion when it passes the gate; answers its URI."""
    from components.reward_deployment import steps
    from spatialreward.ops.config import JudgeRegistrationStep, read_settings

    settings = read_settings(JudgeRegistrationStep, config, "--config")
    return steps.register_judge(settings, judge, evaluation, parent_run_id)


@app.command()
def deploy_judge(
    model: Annotated[str, typer.Option(metavar="models:/NAME@ALIAS", help="What to serve.")],
    parent_run_id: ParentRunId = "",
) -> str:
    """Serve a registered judge on Triton; answers with the reference of what is served."""
    from components.reward_deployment import steps

    return steps.deploy_judge(model, parent_run_id)


@app.command()
def open_run(
    name: Annotated[str, typer.Option(help="Of the run.")],
    profile: Annotated[str, typer.Option(help="The profile's name, for a tag.")],
    settings: Annotated[str, typer.Option(metavar="JSON", help="What the pipeline was made with.")],
    parent_run_id: ParentRunId = "",
) -> str:
    """Open a pipeline's run in MLflow unless somebody has; answers its id."""
    from components.reward_deployment import run_steps

    return run_steps.open_run(name, profile, settings, parent_run_id)


@app.command()
def close_run(
    status: Annotated[
        str, typer.Option(metavar="JSON", help="The platform's state and message of all steps.")
    ],
    has_train_jobs: Annotated[
        bool, typer.Option(help="Whether steps of the pipeline make TrainJobs.")
    ] = False,
    last_step: Annotated[
        str,
        typer.Option(help="When it has finished all have; for a platform that cannot tell."),
    ] = "",
    parent_run_id: ParentRunId = "",
) -> str:
    """Free what steps still hold and record in MLflow how the pipeline came out."""
    from components.reward_deployment import run_steps

    return run_steps.close_run(
        status,
        has_train_jobs=has_train_jobs,
        last_step=last_step,
        parent_run_id=parent_run_id,
    )


if __name__ == "__main__":
    app()
