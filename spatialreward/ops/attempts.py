"""Doing a step's work again after a failure that may pass, and never after one that cannot.

The platform retries a whole pod, whatever it failed of, and not at all inside of a loop. So a step
that is told a number of retries makes them itself, and one that the platform started again finds
out whether its last attempt failed of something that another attempt cannot change.
"""

import logging
import os
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from spatialreward.errors import InvalidInputError, is_final
from spatialreward.ops.tracking import child_runs

logger = logging.getLogger(__name__)

RETRIES_INSIDE = "SPATIALREWARD_STEP_RETRIES"
"""Environment variable: how often a step tries again by itself; for steps of loops."""
PLATFORM_ATTEMPT = "KFP_RETRY_INDEX"
"""Environment variable: how often the platform has started this step before; set by it."""
FINAL_TAG = "final"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 300.0

Result = TypeVar("Result")


def with_retries(
    work: Callable[[], Result], sleep: Callable[[float], object] = time.sleep
) -> Result:
    """What ``work`` returns, after as many further attempts as the environment allows.

    Each wait is twice the one before. What cannot be helped by another attempt is raised at once.
    """
    again = Retrying(
        retry=retry_if_exception(
            lambda error: isinstance(error, Exception) and not is_final(error)
        ),
        stop=stop_after_attempt(1 + _number(RETRIES_INSIDE)),
        wait=wait_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
        sleep=sleep,
        before_sleep=before_sleep_log(logger, logging.WARNING),
        reraise=True,
    )
    return again(work)


def refuse_in_vain(step_key: str, parent_run_id: str) -> None:
    """End an attempt that the last one has shown to be useless.

    Raises:
        InvalidInputError: this is a further attempt, and the last one's failure was final; says
            again what it was.
        TrackingError: the server that knows does not answer.
    """
    if not parent_run_id or not _number(PLATFORM_ATTEMPT):
        return
    attempts = [run for run in child_runs(parent_run_id) if run.tags.get("step_key") == step_key]
    if attempts and attempts[-1].tags.get(FINAL_TAG) == "true":
        raise InvalidInputError(f"{attempts[-1].tags.get('error')} (not tried again)")


def _number(variable: str) -> int:
    text = os.environ.get(variable) or "0"
    if not text.isdecimal():
        raise InvalidInputError(f"{variable}={text}: expected a number of attempts")
    return int(text)
