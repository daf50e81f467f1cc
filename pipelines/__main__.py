"""``python -m pipelines``: compile a profile's pipelines, check them, or run them here."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from pipelines.parts import Part
from spatialreward.cli.command import CommandGroup, configure_logging

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The pipeline: data, judge, gate, service, editor.",
)
ProfileName = Annotated[str, typer.Option(help="tiny, rehearsal, one-gpu, paper, or a TOML file.")]
Pipeline = Annotated[Part, typer.Option(help="The whole, or one of its parts.")]
Corpus = Annotated[
    Path | None,
    typer.Option(
        metavar="TOML",
        help="Edit data set to build from, in place of the table data; docs/data.md.",
    ),
]
Data = Annotated[
    str, typer.Option(metavar="REF", help="Training edits of a judge, or tasks of an editor.")
]
Heldout = Annotated[
    str, typer.Option(metavar="REF", help="Held-out labelled edits for judge or editor.")
]
Drawn = Annotated[str, typer.Option(metavar="REF", help="Edits drawn by an editor, for training.")]
Editor = Annotated[str, typer.Option(metavar="S3_REF", help="Editor of kind tiny to fine-tune.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Such as rl.num_steps=3; may be repeated."),
]
Rerun = Annotated[
    bool, typer.Option("--rerun", help="Run every step again, ignoring earlier results.")
]
StateDir = Annotated[
    Path, typer.Option(envvar="SPATIALREWARD_STATE_DIR", help="Folder of the local stack.")
]
STATE_DIR = Path("build/stack")
_FROM_NOISE = (
    "judge.base.kind=grounding",
    "judge.training.num_samples=44000",
    "judge.training.optimiser.learning_rate=8e-4",
    "drawing.num_edits=4000",
)
ImagesLock = Annotated[
    Path | None,
    typer.Option(
        metavar="TOML",
        help="Digests of the images, as `make push` writes them; images.lock, if it is here.",
    ),
]
Registry = Annotated[
    str, typer.Option(metavar="PREFIX", help="Registry of the images, for tags instead of digests.")
]
AsManifest = Annotated[
    bool,
    typer.Option(
        "--kubernetes-manifest", help="Write Pipeline and PipelineVersion objects instead."
    ),
]


@app.callback()
def configure(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every detail.")] = False,
) -> None:
    """Set up logging for the command that follows."""
    configure_logging(verbose=verbose)


@app.command()
def validate(profile: ProfileName, overrides: Overrides = None, corpus: Corpus = None) -> None:
    """Check a profile and show its settings."""
    import json

    from pipelines.profile import load_profile

    settings = load_profile(profile, overrides or (), corpus)
    typer.echo(json.dumps(settings.model_dump(mode="json"), indent=2))


@app.command("compile")
def compile_to(
    profile: ProfileName,
    out: Annotated[Path, typer.Option(help="YAML file to write.")],
    pipeline: Pipeline = Part.FULL,
    corpus: Corpus = None,
    overrides: Overrides = None,
    images_lock: ImagesLock = None,
    registry: Registry = "",
    as_manifest: AsManifest = False,
) -> None:
    """Compile a profile's pipeline for Kubeflow Pipelines; references are run parameters."""
    from pipelines.compiling import Form
    from pipelines.full import compile_pipeline
    from pipelines.images import Images
    from pipelines.profile import load_profile
    from pipelines.refusals import refuse_parts

    settings, name = load_profile(profile, overrides or (), corpus), Path(profile).stem
    refuse_parts(settings, name, pipeline)
    images = Images.of(images_lock, registry)
    form = Form.MANIFEST if as_manifest else Form.PIPELINE
    compile_pipeline(settings, name, pipeline, out, images, form)
    typer.echo(f"wrote {out}")


@app.command()
def run(
    profile: ProfileName = "tiny",
    pipeline: Pipeline = Part.FULL,
    data: Data = "",
    heldout: Heldout = "",
    drawn: Drawn = "",
    editor: Editor = "",
    corpus: Corpus = None,
    overrides: Overrides = None,
    from_noise: Annotated[
        bool,
        typer.Option(
            "--from-noise",
            help="Train the judge from random weights instead of the shipped base: a grounding "
            "first, then as long as the base was trained. About two hours.",
        ),
    ] = False,
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of background pictures for generated scenes."),
    ] = None,
    also_judge: Annotated[
        Path | None,
        typer.Option(
            metavar="JSONL", help="Edits on disk to judge with the served judge at the end."
        ),
    ] = None,
    rerun: Rerun = False,
    state_dir: StateDir = STATE_DIR,
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
    """Run a profile's pipeline here, with a temporary local stack.

    A part needs the inputs it does not make: --data and --heldout for judge
    (--drawn too, with a drawn share); for editor the same two if its weights
    are published ones, else --editor. REF is a folder,
    s3://BUCKET/PREFIX#sha256=HEX or hub:OWNER/NAME@REVISION.
    """
    from pipelines.profile import load_profile

    changes = list(_FROM_NOISE) if from_noise else []
    if from_noise and corpus is None:
        changes.append("data.num_train=28800")
    changes += overrides or ()
    if photos is not None:
        changes.append(f"data.photos={photos.absolute()}")
    settings = load_profile(profile, changes, corpus)

    from pipelines.run import RunOptions, run_here
    from spatialreward.stack import StackConfig

    stack = StackConfig(state_dir=state_dir, triton_python=triton_python)
    options = RunOptions(stack, rerun, also_judge, started_at)
    given = {"data": data, "heldout": heldout, "drawn": drawn, "editor": editor}
    run_here(settings, Path(profile).stem, options, pipeline, given)


@app.command()
def costs(
    run_id: Annotated[str, typer.Argument(help="The pipeline's run in MLflow.")],
    gpu_hour: Annotated[float, typer.Option(min=0, help="Price of an hour of a GPU.")] = 0,
    cpu_hour: Annotated[float, typer.Option(min=0, help="Of an hour of a core.")] = 0,
    memory_gib_hour: Annotated[float, typer.Option(min=0, help="Of a GiB for an hour.")] = 0,
    storage_gib_month: Annotated[float, typer.Option(min=0, help="Of a GiB for a month.")] = 0,
    judge_gpus: Annotated[
        int, typer.Option(min=0, help="GPUs of the served judge, outside the steps.")
    ] = 1,
) -> None:
    """Show a run's resource usage from MLflow, and its cost at your prices.

    Hours cover the resources that the profile requests for each step. Also: a step of RL, 1,000
    judgements, a month of storage. Set MLFLOW_TRACKING_URI.
    """
    from pipelines.costs import Prices, usage_of, usage_tables
    from spatialreward.figures import figures_console

    prices = Prices(
        gpu_hour=gpu_hour,
        cpu_hour=cpu_hour,
        memory_gib_hour=memory_gib_hour,
        storage_gib_month=storage_gib_month,
    )
    for table in usage_tables(usage_of(run_id), prices, judge_gpus):
        figures_console().print(table)


if __name__ == "__main__":
    logging.captureWarnings(True)
    app()
