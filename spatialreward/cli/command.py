"""What every command of ours shares: how it fails and what it logs."""

import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from tqdm import tqdm
from typer.core import TyperCommand, TyperGroup

from spatialreward.errors import SpatialRewardError
from spatialreward.extras import missing_package

INTERRUPTED = 130


class _InOneLine:
    """Turns the errors a user can act on into one line and an exit status, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that ``ctx`` is of, or names."""
        try:
            return super().invoke(ctx)
        except SpatialRewardError as error:
            raise _failure(error) from error
        except ModuleNotFoundError as error:
            if missing := missing_package(error):
                raise _failure(missing) from error
            raise
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error


class CommandGroup(_InOneLine, TyperGroup):
    """Commands whose errors are one line."""


class SingleCommand(_InOneLine, TyperCommand):
    """The same of a program that has one command: typer makes no group for it."""


class UsualCommand(TyperGroup):
    """A group of which `run` is what most people want: `GROUP --option` is `GROUP run --option`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put in `run` where an option stands in place of a command."""
        return super().parse_args(ctx, self.with_command(args, ctx.help_option_names))

    def with_command(self, args: list[str], of_group: Sequence[str] = ("--help",)) -> list[str]:
        """The arguments with the command that they are for; a wrong name of one stays."""
        is_option = bool(args) and args[0].startswith("-") and args[0] not in of_group
        return ["run", *args] if is_option else args


def _failure(error: SpatialRewardError) -> typer.Exit:
    typer.echo(f"error: {' '.join(str(error).split())}", err=True)
    return typer.Exit(1)


@contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM, which ends a job or a pod, undo what is under way as an error does."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


class AroundBars(logging.Handler):
    """Writes log lines to standard error, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``."""
        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)


def configure_logging(*, verbose: bool = False) -> None:
    """Log to standard error: our own progress, and what others warn of."""
    handler = AroundBars()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    set_levels(verbose=verbose)


def set_levels(*, verbose: bool = False) -> None:
    """Choose what is logged: our own progress, and of others what they warn of."""
    logging.getLogger("spatialreward").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("pipelines").setLevel(logging.DEBUG if verbose else logging.INFO)
    # It warns of every retry; when none helps, an error follows.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
