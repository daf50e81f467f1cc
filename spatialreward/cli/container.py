"""What the entries of all containers share: options, logs, and the answer on standard output.

A step is one subcommand. Run by hand or in its container it prints its answer; as a pipeline's task
it hands the same answer back, and tells a run on this machine how it goes
(``spatialreward.ops.events``).
"""

import json
import logging
import time
from typing import Annotated, Any

import typer

from spatialreward.cli.command import AroundBars, CommandGroup, configure_logging
from spatialreward.errors import SpatialRewardError
from spatialreward.ops.events import EventHandler, Teller

Config = Annotated[str, typer.Option(metavar="JSON", help="Settings of the step.")]
Reference = Annotated[str, typer.Option(metavar="S3_REF", help="s3://BUCKET/PREFIX#sha256=HEX")]
ParentRunId = Annotated[str, typer.Option(help="Run in MLflow that this step belongs to.")]


class _Steps(CommandGroup):
    """Tells what a step failed of, in the words in which it is shown."""

    def invoke(self, ctx: Any) -> Any:
        """Run the step that ``ctx`` names."""
        try:
            return super().invoke(ctx)
        except typer.Exit as end:
            if end.exit_code:
                _tell_failure(ctx.invoked_subcommand or "", end.__cause__ or end)
            raise


def container_entry(help_text: str) -> typer.Typer:
    """An application whose subcommands are the steps of one container."""
    app = typer.Typer(
        cls=_Steps,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        result_callback=_answer,
        help=help_text,
    )

    @app.callback()
    def configure(
        ctx: typer.Context,
        verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
    ) -> None:
        configure_logging(verbose=verbose)
        _tell_as(ctx.invoked_subcommand or "")

    return app


def run_as_task(app: typer.Typer, command: str, *, always: bool = False, **options: object) -> str:
    """Run a container's command inside a pipeline's task and return what it answers.

    Log lines carry the command's name, since those of several tasks go to one place.

    Args:
        app: the container's entry.
        command: the subcommand.
        always: on one machine the first failure is the end of everything but such a step.
        options: its options, with underscores; a list is passed as JSON, a truth value as a flag.

    Raises:
        SystemExit: the command failed, and has said why in one line; or it was not begun.
    """
    teller = Teller.of(command)
    _log_as(command, teller)
    if not always and (failure := teller.failure_before()):
        raise SystemExit(f"{command}: not begun, since {failure.step} has failed")
    teller.tell("started")
    start = time.monotonic()
    arguments = [_argument(name.replace("_", "-"), value) for name, value in options.items()]
    try:
        answer = app([command, *arguments], standalone_mode=False)
    except Exception as error:
        _tell_failure(command, error)
        raise
    if not isinstance(answer, str):
        raise SystemExit(answer)
    teller.tell("finished", seconds=time.monotonic() - start)
    return answer


def _log_as(command: str, teller: Teller) -> None:
    handlers: list[logging.Handler] = [AroundBars(), EventHandler(teller)]
    for handler in handlers:
        handler.setFormatter(_form(command))
    # The platform's executor has set up its own logging, which logs every detail of every library.
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.captureWarnings(True)


def _tell_as(command: str) -> None:
    """Tell what a process logs that a task has started to help it."""
    teller, root = Teller.of(command), logging.getLogger()
    if teller.is_heard and not any(isinstance(one, EventHandler) for one in root.handlers):
        handler = EventHandler(teller)
        handler.setFormatter(_form(command))
        root.addHandler(handler)


def _form(command: str) -> logging.Formatter:
    return logging.Formatter(f"%(asctime)s {command}: %(message)s", "%H:%M:%S")


def _tell_failure(command: str, error: BaseException) -> None:
    said = " ".join(str(error).split())
    name = () if isinstance(error, SpatialRewardError) else (type(error).__name__,)
    Teller.of(command).tell("failed", ": ".join(filter(None, (*name, said))))


def _argument(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={json.dumps(value) if isinstance(value, list) else value}"


def _answer(answer: str, verbose: bool) -> str:
    typer.echo(answer)
    return answer
