"""Container entry of the editor's evaluation and registration."""

from typing import Annotated

import typer

from spatialreward.cli.container import Config, ParentRunId, Reference, container_entry

app = container_entry("Compares editors and registers them.")


@app.command()
def compare_editors(
    config: Config,
    before: Reference,
    after: Reference,
    served: Reference,
    heldout: Annotated[
        str, typer.Option(metavar="S3_REF", help="Data set whose tasks both editors get.")
    ] = "",
    parent_run_id: ParentRunId = "",
) -> str:
    """Compare an editor before and after RL; prints figures and its report as JSON."""
    from components.editor_evaluation import steps
    from spatialreward.ops.config import EditorEvaluationStep, read_settings

    settings = read_settings(EditorEvaluationStep, config, "--config")
    return steps.compare_editors(settings, before, after, served, heldout, parent_run_id)


@app.command()
def register_editor(
    config: Config,
    editor: Reference,
    evaluation: Annotated[
        str, typer.Option(metavar="JSON", help="Output of compare-editors for this editor.")
    ],
    parent_run_id: ParentRunId = "",
) -> str:
    """Register an editor as candidate, and as champion if it is better; prints its URI."""
    from components.editor_evaluation import steps
    from spatialreward.ops.config import EditorRegistrationStep, read_settings

    settings = read_settings(EditorRegistrationStep, config, "--config")
    return steps.register_editor(settings, editor, evaluation, parent_run_id)


if __name__ == "__main__":
    app()
