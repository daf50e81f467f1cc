"""The ``spatialreward`` command: what its parts share, which is how they fail and what they log."""

import logging
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from tqdm import tqdm
from typer.core import TyperGroup

from spatialreward.cli import base, judge, stack
from spatialreward.errors import SpatialRewardError

INTERRUPTED = 130


class CommandGroup(TyperGroup):
    """Turns the errors a user can act on into one line and an exit status, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that ``ctx`` names."""
        try:
            return super().invoke(ctx)
        except SpatialRewardError as error:
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error


class AroundBars(logging.Handler):
    """Writes log lines to standard error, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``."""
        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)


app = typer.Typer(
    name="spatialreward",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A judge of image edits that says where an edit happened before it scores it.",
)
app.command("judge")(judge.judge)
app.add_typer(base.app, name="base")
app.add_typer(stack.app, name="stack")


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
    handler = AroundBars()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("spatialreward").setLevel(logging.DEBUG if verbose else logging.INFO)


def main() -> None:
    """Run the command line of this process."""
    logging.captureWarnings(True)
    app()
