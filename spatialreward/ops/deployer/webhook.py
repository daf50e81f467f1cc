"""MLflow's webhooks: whether one is genuine, and whether it is about whom we follow.

MLflow signs as the Standard Webhooks convention says: HMAC-SHA256 over ``id.timestamp.body``.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from http import HTTPStatus

from spatialreward.errors import SpatialRewardError

SIGNATURE, TIMESTAMP, DELIVERY = "X-MLflow-Signature", "X-MLflow-Timestamp", "X-MLflow-Delivery-Id"
EVENTS = ("model_version_alias.created", "model_version_alias.deleted")
"""What to register for. MLflow calls it created, too, when an alias moves."""
_VERSION = "v1"


class WebhookRefused(SpatialRewardError, ValueError):
    """A webhook that must not be acted upon."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        """Keep the status to answer with."""
        super().__init__(reason)
        self.status = status


def sign(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """The signature that MLflow sends along."""
    content = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def check_signature(
    headers: Mapping[str, str], body: bytes, secret: str, *, max_age_s: float, now: float
) -> None:
    """Make sure that whoever sent a webhook knows the secret, and sent it a moment ago.

    Raises:
        WebhookRefused: it is not signed, signed otherwise, or too old.
    """
    told = {name: headers.get(name) for name in (SIGNATURE, TIMESTAMP, DELIVERY)}
    missing = [name for name, value in told.items() if not value]
    if missing:
        raise WebhookRefused(HTTPStatus.UNAUTHORIZED, f"no {', '.join(missing)}")
    timestamp = str(told[TIMESTAMP])
    expected = sign(secret, str(told[DELIVERY]), timestamp, body)
    # Several signatures may be given, while a secret is being replaced.
    given = str(told[SIGNATURE]).split()
    if not any(hmac.compare_digest(one.encode(), expected.encode()) for one in given):
        raise WebhookRefused(HTTPStatus.UNAUTHORIZED, "the signature is wrong")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise WebhookRefused(HTTPStatus.BAD_REQUEST, f"{TIMESTAMP} is no time")
    if abs(now - int(timestamp)) > max_age_s:
        raise WebhookRefused(HTTPStatus.UNAUTHORIZED, "it is too old, or the clocks differ")


def concerns(body: bytes, name: str, alias: str) -> bool:
    """Whether a webhook says that an alias of a model has moved.

    Raises:
        WebhookRefused: it is not what MLflow sends.
    """
    try:
        told = json.loads(body)
        data = told["data"]
        return (
            f"{told['entity']}.{told['action']}" in EVENTS
            and data.get("name") == name
            and data.get("alias") == alias
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WebhookRefused(HTTPStatus.BAD_REQUEST, "the body is no webhook of MLflow") from error
