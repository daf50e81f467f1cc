"""The ``spatialreward`` command."""

import io
import logging
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from spatialreward.cli import (
    benchmark,
    best_of,
    data,
    deploy,
    evaluate,
    evaluate_editor,
    judge,
    merge_adapter,
    promote,
    protocol,
    refine,
    rl,
    runs,
    stack,
    submit,
    train_base,
    train_grpo,
    train_judge,
)
from spatialreward.cli.command import CommandGroup, configure_logging
from spatialreward.openmp import wait_asleep

_TRAINING, _EDITING, _JUDGING = "Data and training", "Editing", "Judging"
_SERVING, _PLATFORM = "Versions and serving", "Pipelines and services"
_ORDER = (
    *("data", "train", "rl"),
    *("best-of", "refine"),
    *("judge", "evaluate", "evaluate-editor", "benchmark", "protocol"),
    *("promote", "demote", "deploy"),
    *("submit", "runs", "stack"),
)


class _InOrder(CommandGroup):
    """Lists commands in the order in which a team comes to need them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, for the help."""
        known = super().list_commands(ctx)
        return sorted(known, key=lambda name: (name not in _ORDER, (*_ORDER, name).index(name)))


app = typer.Typer(
    name="spatialreward",
    cls=_InOrder,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A judge of image edits that says where an edit happened before it scores it.",
)
train = typer.Typer(
    no_args_is_help=True, help="Train judges and what they start from, and merge LoRA adapters."
)
train.command()(train_judge.judge)
train.command()(train_grpo.grpo)
train.command()(train_base.base)
train.command()(merge_adapter.merge_adapter)

app.add_typer(data.app, name="data", rich_help_panel=_TRAINING)
app.add_typer(train, name="train", rich_help_panel=_TRAINING)
app.add_typer(rl.app, name="rl", rich_help_panel=_TRAINING)
app.command(rich_help_panel=_EDITING)(best_of.best_of)
app.command(rich_help_panel=_EDITING)(refine.refine)
app.command(rich_help_panel=_JUDGING)(judge.judge)
app.command(rich_help_panel=_JUDGING)(evaluate.evaluate)
app.command(rich_help_panel=_JUDGING)(evaluate_editor.evaluate_editor)
app.add_typer(benchmark.app, name="benchmark", rich_help_panel=_JUDGING)
app.add_typer(protocol.app, name="protocol", rich_help_panel=_JUDGING)
app.command(rich_help_panel=_SERVING)(promote.promote)
app.command(rich_help_panel=_SERVING)(promote.demote)
app.add_typer(deploy.app, name="deploy", rich_help_panel=_SERVING)
app.command(rich_help_panel=_PLATFORM)(submit.submit)
app.add_typer(runs.app, name="runs", rich_help_panel=_PLATFORM)
app.add_typer(stack.app, name="stack", rich_help_panel=_PLATFORM)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(version("spatialreward"))
        raise typer.Exit


@app.callback()
def configure(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every detail to standard error.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Set up logging for the command that follows."""
    configure_logging(verbose=verbose)


def main() -> None:
    """Run the command line of this process."""
    logging.captureWarnings(True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A judge may answer in letters that the terminal's encoding does not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    wait_asleep()
    app()
