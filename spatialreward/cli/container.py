"""What the entries of all containers share: options, logs, and the answer on standard output.

A step is one subcommand. Run by hand or in its container it prints its answer; as a pipeline's task
it hands the same answer back.
"""

import json
import logging
from typing import Annotated

import typer

from spatialreward.cli.command import AroundBars, CommandGroup, configure_logging

Config = Annotated[str, typer.Option(metavar="JSON", help="Settings of the step.")]
Reference = Annotated[str, typer.Option(metavar="S3_REF", help="s3://BUCKET/PREFIX#sha256=HEX")]
ParentRunId = Annotated[str, typer.Option(help="Run in MLflow that this step belongs to.")]


def container_entry(help_text: str) -> typer.Typer:
    """An application whose subcommands are the steps of one container."""
    app = typer.Typer(
        cls=CommandGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        result_callback=_answer,
        help=help_text,
    )

    @app.callback()
    def configure(
        verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
    ) -> None:
        configure_logging(verbose=verbose)

    return app


def run_as_task(app: typer.Typer, command: str, **options: object) -> str:
    """Run a container's command inside a pipeline's task and return what it answers.

    Log lines carry the command's name, since those of several tasks go to one place.

    Args:
        app: the container's entry.
        command: the subcommand.
        options: its options, with underscores; a list is passed as JSON, a truth value as a flag.

    Raises:
        SystemExit: the command failed, and has said why in one line.
    """
    handler = AroundBars()
    handler.setFormatter(logging.Formatter(f"%(asctime)s {command}: %(message)s", "%H:%M:%S"))
    # The platform's executor has set up its own logging, which tells every detail of everybody.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    arguments = [_argument(name.replace("_", "-"), value) for name, value in options.items()]
    answer = app([command, *arguments], standalone_mode=False)
    if not isinstance(answer, str):
        raise SystemExit(answer)
    return answer


def _argument(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={json.dumps(value) if isinstance(value, list) else value}"


def _answer(answer: str, verbose: bool) -> str:
    typer.echo(answer)
    return answer
