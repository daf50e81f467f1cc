"""Failed requests as errors in the user's words, without secrets and without control characters."""

import json
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from urllib3.exceptions import ConnectTimeoutError, HTTPError, ProxyError, SSLError, TimeoutError

from spatialreward.ops.kubeflow.errors import (
    AlreadyThere,
    AnswerLost,
    KubeflowError,
    NotFound,
    RequestRefused,
    ServerFault,
    ServerUnreachable,
)
from spatialreward.ops.kubeflow.states import printable

if TYPE_CHECKING:
    from kfp_server_api import ApiException

_MAX_REASON = 400
_SHORTEST_SECRET = 6
"""Letters. A shorter one guards nothing, and would blank out words of every message."""


class Asked(NamedTuple):
    """A request."""

    server: str
    what: str
    """Method and path."""
    secrets: Collection[str] = ()
    """Values of headers that must not be printed."""


def no_answer(error: HTTPError, asked: Asked, timeout_s: float) -> KubeflowError:
    """The error for a request without an answer."""
    cause = getattr(error, "reason", None) or error
    said = _scrubbed(str(cause), asked.secrets)
    if isinstance(cause, SSLError):
        return KubeflowError(
            f"{asked.server}: no trusted TLS connection ({said}); check whether it is http:// "
            "there, and pass the certificates of its CA with --ca-file"
        )
    if isinstance(cause, (ConnectTimeoutError, ProxyError)):
        return ServerUnreachable(
            f"{asked.server} cannot be reached ({said}); check the address, that a port-forward "
            "or VPN is up, and HTTPS_PROXY / NO_PROXY if there is a proxy"
        )
    if isinstance(cause, TimeoutError):
        return AnswerLost(f"{asked.server} did not answer {asked.what} within {timeout_s:g} s")
    return AnswerLost(f"{asked.server}: the answer to {asked.what} was cut off")


def refusal(error: "ApiException", asked: Asked) -> KubeflowError:
    """The error for an answer whose status is no success."""
    status, answer = error.status, as_object(error.body)
    said = _scrubbed(_said(error.body, answer), asked.secrets)
    reason = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    where = f"{asked.server}: {asked.what}"
    if 300 <= status < 400:
        elsewhere = printable(urlsplit(error.headers.get("location", "")).hostname or "")
        return KubeflowError(
            f"{where}: it redirects to {elsewhere or 'a login page'}; pass a token, or the cookie "
            "of a session that is logged in"
        )
    if status == 401:
        return KubeflowError(f"{where}: it does not know the caller ({reason}); pass a token")
    if status == 403:
        return KubeflowError(
            f"{where}: not allowed ({reason}); ask for that right, or log in again if a proxy "
            "in front of it refuses"
        )
    if status in (408, 429) or (status >= 500 and status != 501):
        return ServerFault(f"{where}: it failed ({reason})")
    if status == 404 and answer is None:
        return no_api(asked, reason)
    kind = {404: NotFound, 409: AlreadyThere}.get(status, RequestRefused)
    return kind(f"{where}: {said or reason}")


def no_api(asked: Asked, reason: str) -> KubeflowError:
    """The error for an answer of something other than Kubeflow Pipelines."""
    return KubeflowError(
        f"{asked.server}: no API answers there ({asked.what}: {reason}); below the address must be "
        "/apis/v2beta1, behind Kubeflow's dashboard it ends in /pipeline"
    )


def as_object(body: bytes) -> dict[str, Any] | None:
    """A JSON object; None if the bytes are none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _said(body: bytes, answer: dict[str, Any] | None) -> str:
    if answer is None:
        is_page = b"<html" in body[:1000].lower()
        return "a web page" if is_page else body.decode(errors="replace")
    # In gRPC's form, or in that of the upload endpoints.
    return str(answer.get("message") or answer.get("error_message") or answer.get("error") or "")


def _scrubbed(text: str, secrets: Collection[str]) -> str:
    # Of a cookie and of a bearer token also the part that is the secret.
    parts = {part for value in secrets for part in (value, *re.split(r"[;=\s]+", value))}
    for secret in sorted(parts, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return " ".join(printable(text).split())[:_MAX_REASON]
