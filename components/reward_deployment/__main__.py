"""Container entry of the judge's registration and deployment."""

from typing import Annotated

import typer

from spatialreward.cli.container import Config, ParentRunId, Reference, container_entry

app = container_entry("Registers judges that pass their gate, and serves them.")


@app.command()
def register_judge(
    config: Config,
    judge: Reference,
    figures: Annotated[
        str, typer.Option(metavar="JSON", help="What the evaluation of this judge answered.")
    ],
    parent_run_id: ParentRunId = "",
) -> str:
    """Register a judge as candidate, and as champion when it passes the gate; answers its URI."""
    from components.reward_deployment import steps
    from spatialreward.config import JudgeRegistrationStep, read_settings

    settings = read_settings(JudgeRegistrationStep, config, "--config")
    return steps.register_judge(settings, judge, figures, parent_run_id)


@app.command()
def deploy_judge(
    model: Annotated[str, typer.Option(metavar="models:/NAME@ALIAS", help="What to serve.")],
    parent_run_id: ParentRunId = "",
) -> str:
    """Serve a registered judge on Triton; answers with the reference of what is served."""
    from components.reward_deployment import steps

    return steps.deploy_judge(model, parent_run_id)


if __name__ == "__main__":
    app()
