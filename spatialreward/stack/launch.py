"""How each service is started: its command, its files, and the question whether it is healthy."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import urllib3

from spatialreward.stack.config import Service

S3_HEALTH = "/healthz"
MLFLOW_HEALTH = "/health"
# Not `ready`: that fails for as long as a model could not be loaded, or is being unloaded.
TRITON_HEALTH = "/v2/health/live"


class Launch(NamedTuple):
    """What it takes to start one service."""

    service: Service
    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    health_url: str
    litter: tuple[str, ...] = ()
    """Glob patterns of files that the service leaves outside the state folder."""
    secrets: tuple[str, ...] = ()
    """Words of the command that other users of the machine must not read."""


def answers(url: str, timeout_s: float = 2.0) -> bool:
    """Tell whether a health URL answers 200; a proxy of the user's is not asked."""
    close = {"Connection": "close"}
    try:
        return (
            urllib3.request("GET", url, headers=close, timeout=timeout_s, retries=False).status
            == 200
        )
    except urllib3.exceptions.HTTPError:
        return False
