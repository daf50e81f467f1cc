"""The ``spatialreward`` command."""

import io
import logging
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from spatialreward.cli import (
    adapter,
    base,
    data,
    deploy,
    deployer,
    evaluate,
    judge,
    promote,
    protocol,
    runs,
    stack,
    submit,
    upkeep,
    webhook,
)
from spatialreward.cli.command import CommandGroup, configure_logging
from spatialreward.openmp import wait_asleep

app = typer.Typer(
    name="spatialreward",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A judge of image edits that says where an edit happened before it scores it.",
)
app.command("judge")(judge.judge)
app.command("deploy")(deploy.deploy)
app.command("rollback")(deploy.rollback)
app.command("deployments")(deploy.deployments)
app.command("evaluate")(evaluate.evaluate)
app.command("promote")(promote.promote)
app.command("demote")(promote.demote)
app.command("serving-repository")(deployer.serving_repository)
app.add_typer(deployer.app, name="deployer")
app.add_typer(webhook.app, name="webhook")
app.add_typer(base.app, name="base")
app.add_typer(data.app, name="data")
app.add_typer(protocol.app, name="protocol")
app.add_typer(adapter.app, name="adapter")
app.command("buckets")(upkeep.buckets)
app.add_typer(upkeep.backups, name="backups")
app.add_typer(stack.app, name="stack")
app.command("submit")(submit.submit)
app.add_typer(runs.app, name="runs")


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
