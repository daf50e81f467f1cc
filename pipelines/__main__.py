"""``python -m pipelines``: compile a profile's pipeline, check it, or run it on this machine."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from spatialreward.cli.command import CommandGroup, configure_logging

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The pipeline: data, judge, gate, service, editor.",
)
ProfileName = Annotated[str, typer.Option(help="tiny, paper, or a TOML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Such as rl.num_steps=3; may be repeated."),
]


@app.callback()
def configure(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every detail.")] = False,
) -> None:
    """Set up logging for the command that follows."""
    configure_logging(verbose=verbose)


@app.command()
def validate(profile: ProfileName, overrides: Overrides = None) -> None:
    """Check a profile and show what it comes to."""
    import json

    from pipelines.profile import load_profile

    typer.echo(json.dumps(load_profile(profile, overrides or ()).model_dump(mode="json"), indent=2))


@app.command("compile")
def compile_to(
    profile: ProfileName,
    out: Annotated[Path, typer.Option(help="YAML file to write.")],
    overrides: Overrides = None,
) -> None:
    """Write a profile's pipeline for Kubeflow Pipelines."""
    from pipelines.dag import compile_pipeline
    from pipelines.profile import load_profile

    settings = load_profile(profile, overrides or ())
    compile_pipeline(settings, Path(profile).stem, out)
    typer.echo(f"wrote {out}")


@app.command()
def run(
    profile: ProfileName = "tiny",
    overrides: Overrides = None,
    from_noise: Annotated[
        bool,
        typer.Option(
            "--from-noise", help="Train the judge from random weights instead of the shipped base."
        ),
    ] = False,
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures that generated scenes are painted on."),
    ] = None,
    also_judge: Annotated[
        Path | None,
        typer.Option(
            metavar="JSONL", help="Edits on disk to judge with the served judge at the end."
        ),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Do every step again, also what was done before.")
    ] = False,
    state_dir: Annotated[
        Path,
        typer.Option(envvar="SPATIALREWARD_STATE_DIR", help="Folder of the local stack."),
    ] = Path("build/stack"),
    triton_python: Annotated[
        Path,
        typer.Option(
            envvar="SPATIALREWARD_TRITON_PYTHON",
            help="Interpreter of the environment that holds Triton's server.",
        ),
    ] = Path(".venv-triton/bin/python"),
    started_at: Annotated[
        float | None,
        typer.Option(help="Count the time from this moment, in seconds since the epoch."),
    ] = None,
) -> None:
    """Run a profile on this machine, with a local stack that is gone afterwards."""
    from pipelines.profile import load_profile

    changes = list(overrides or ())
    if from_noise:
        changes.append("judge.base.kind=grounding")
    if photos is not None:
        changes.append(f"data.photos={photos.absolute()}")
    settings = load_profile(profile, changes)

    from pipelines.run import RunOptions, run_here
    from spatialreward.stack import StackConfig

    stack = StackConfig(state_dir=state_dir, triton_python=triton_python)
    run_here(settings, Path(profile).stem, RunOptions(stack, anew, also_judge, started_at))


if __name__ == "__main__":
    logging.captureWarnings(True)
    app()
