"""Container entry of steps that tests of the graph run."""

import logging
import os
import signal
from typing import Annotated

import typer

from spatialreward.cli.container import container_entry
from spatialreward.errors import InvalidInputError

logger = logging.getLogger("spatialreward.shouting")
app = container_entry("for tests")
Words = Annotated[str, typer.Option()]


@app.command()
def shout(words: Words) -> str:
    """Shout, or fail in one of several ways."""
    logger.info("shouting")
    match words:
        case "fail":
            raise InvalidInputError("no voice")
        case "crash":
            return str(1 / 0)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
    return words.upper()


@app.command()
def close_run(words: Words) -> str:
    """Say how the others ended."""
    logger.info(words)
    return words
