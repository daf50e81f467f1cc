"""Waits for a deployer of another process, as a step of a pipeline does."""

import logging
import time

from spatialreward.ops.deployment.errors import DeploymentError
from spatialreward.ops.deployment.smoke import check_answers
from spatialreward.ops.promotion import tags
from spatialreward.ops.registry import CHAMPION, ModelVersion, aliases_of, model_tags

logger = logging.getLogger(__name__)

_POLL_S = 2.0


def wait_until_served(
    model: ModelVersion, endpoint: str, *, timeout_s: float, poll_s: float = _POLL_S
) -> None:
    """Wait until a deployer has a champion served and the server answers with it.

    Args:
        model: the champion.
        endpoint: gRPC address that clients ask.
        timeout_s: how long that may take.
        poll_s: how often registry and server are asked.

    Raises:
        DeploymentError: the deployer could not serve it, another version is champion now, or time
            is up; the message says what the deployer said.
        TrackingError: the registry does not answer.
    """
    logger.info("waiting until a deployer serves %s at %s", model.uri, endpoint)
    deadline = time.monotonic() + timeout_s
    while (missing := _missing(model, endpoint)) is not None:
        if time.monotonic() > deadline:
            raise DeploymentError(f"{model.uri} is not served after {timeout_s:g} s: {missing}")
        time.sleep(poll_s)
    logger.info("%s is served at %s", model.uri, endpoint)


def _missing(model: ModelVersion, endpoint: str) -> str | None:
    """What there is still to wait for; None: nothing."""
    # In this order: a deployer says why it failed before it gives the alias back.
    champion = aliases_of(model.name).get(CHAMPION)
    told = model_tags(model.uri)
    serving = told.get(tags.SERVING, "")
    if serving.startswith(tags.FAILED):
        reason = serving.removeprefix(tags.FAILED)
        raise DeploymentError(f"{model.uri}: the deployer could not serve it: {reason}")
    if champion != model:
        now = champion.uri if champion else "no version"
        raise DeploymentError(f"{model.uri}: the champion is {now} now")
    if serving != tags.SERVED:
        return "no deployer has said anything about it; does one follow the champion?"
    name, _, version = told.get(tags.SERVED_AS, "").rpartition("/")
    if not name or not version.isdigit():
        return f"the deployer does not say as what it is served (tag {tags.SERVED_AS})"
    try:
        check_answers(endpoint, name, int(version), {})
    except DeploymentError as error:
        return f"the deployer says it is, but {error}"
    return None
