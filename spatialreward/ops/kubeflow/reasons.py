"""What an answer means that is not what was asked for, and why there is none: as errors in words.

Nothing secret gets into them, and nothing that would take hold of a terminal.
"""

import html
import json
import re
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3

from spatialreward.ops.kubeflow.errors import (
    AccessRefused,
    AlreadyThere,
    AnswerLost,
    CertificateRefused,
    KubeflowError,
    NotFound,
    NotKubeflowPipelines,
    RequestRefused,
    ServerFault,
    ServerUnreachable,
)
from spatialreward.ops.kubeflow.records import printable

_MAX_REASON = 400
_SHORTEST_SECRET = 6
"""Letters. What is shorter guards nothing, and would blank out words of every message."""
_TITLE = re.compile(r"<title[^>]*>(?P<title>[^<]*)</title>", re.IGNORECASE)
_BUSY = (408, 429)
_NOT_IMPLEMENTED = 501
_NEVER_SENT = (
    requests.ConnectTimeout,
    requests.exceptions.ProxyError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    ConnectionRefusedError,
)
_LATE = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)


class Asked(NamedTuple):
    """What was asked of whom."""

    url: str
    what: str
    """Method and path."""

    @property
    def server(self) -> str:
        """How errors call it."""
        return f"Kubeflow Pipelines at {self.url}"

    def __str__(self) -> str:
        """For the beginning of a message."""
        return f"{self.server}: {self.what}"


def no_answer(error: Exception, asked: Asked, timeout_s: float) -> KubeflowError:
    """Why there is no answer, and whether the request was sent."""
    causes = _causes(error)
    server = asked.server
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in causes):
        return CertificateRefused(
            f"{server}: its certificate is not trusted ({_innermost(causes)}); "
            "name the CA's certificates with --ca-file"
        )
    if any(isinstance(one, requests.exceptions.SSLError) for one in causes):
        return CertificateRefused(
            f"{server}: no TLS connection came about ({_innermost(causes)}); check whether it is "
            "http:// there, and the file of --ca-file"
        )
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        # Such as a CA file that is not there.
        return CertificateRefused(f"{server}: {error}")
    if any(isinstance(one, _NEVER_SENT) for one in causes):
        return ServerUnreachable(
            f"{server} cannot be reached ({_innermost(causes)}); check the address, that a "
            "port-forward or VPN is up, and HTTPS_PROXY / NO_PROXY if there is a proxy"
        )
    if any(isinstance(one, _LATE) for one in causes):
        return AnswerLost(f"{server} did not answer {asked.what} within {timeout_s:g} s")
    return AnswerLost(f"{server}: the answer to {asked.what} was cut off")


def understood(
    response: requests.Response, body: bytes, asked: Asked, secrets: Mapping[str, str]
) -> dict[str, Any]:
    """The answer, if it is one.

    Args:
        response: its status and headers.
        body: its body.
        asked: what it answers.
        secrets: headers of the request, which must not be printed.

    Raises:
        KubeflowError: it is none; the kind tells what to do about it.
    """
    answer = _as_object(body)
    if response.ok and not response.is_redirect and answer is not None:
        return answer
    page = _page(response, body)
    said = "" if answer is None else _reason(answer)
    said = said or page or body.decode("utf-8", "replace")
    if response.is_redirect:
        elsewhere = _host(response.headers["location"]) or "a login page"
        raise AccessRefused(
            f"{asked}: it sends us to {elsewhere} to log in; give a token, or the cookie of a "
            "session that is logged in"
        )
    raise _refusal(
        response.status_code, _scrubbed(said, secrets), asked, answer is not None, bool(page)
    )


def _refusal(status: int, said: str, asked: Asked, is_api: bool, is_page: bool) -> KubeflowError:
    reason = f"HTTP {status}" + (f": {said}" if said else "")
    if status == 401:
        return AccessRefused(f"{asked}: it does not know who asks ({reason}); give a token")
    if status == 403:
        who = "a proxy in front of it refuses" if is_page else "not allowed"
        hint = "the session or token may have ended" if is_page else "ask for that right"
        return AccessRefused(f"{asked}: {who} ({reason}); {hint}")
    if status in _BUSY or (status >= 500 and status != _NOT_IMPLEMENTED):
        return ServerFault(f"{asked}: it failed ({reason})")
    if not is_api and status in (200, 404):
        return NotKubeflowPipelines(
            f"no API of Kubeflow Pipelines answers at {asked.url} ({asked.what}: {reason}); below "
            "the address must be /apis/v2beta1, behind Kubeflow's dashboard it ends in /pipeline"
        )
    kind = {404: NotFound, 409: AlreadyThere}.get(status, RequestRefused)
    return kind(f"{asked}: {said or reason}")


def _as_object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _reason(answer: Mapping[str, Any]) -> str:
    """What an error says: in gRPC's form, or in that of the upload endpoints."""
    for key in ("message", "error_message", "error"):
        if isinstance(answer.get(key), str) and answer[key]:
            return answer[key]
    return ""


def _page(response: requests.Response, body: bytes) -> str:
    """How to call a web page; empty if it is none."""
    if "html" not in response.headers.get("content-type", "").lower():
        return ""
    title = _TITLE.search(body[: 2**16].decode("utf-8", "replace"))
    named = " ".join(html.unescape(title["title"]).split()) if title else ""
    return f"a web page, {named!r}" if named else "a web page"


def _host(address: str) -> str:
    """Whose address it is; empty where it does not say."""
    try:
        return printable(urlsplit(address).hostname or "")
    except ValueError:
        return ""


def _scrubbed(text: str, secrets: Mapping[str, str]) -> str:
    """A reason that can be printed: short, without what is secret, and without control codes."""
    values = [*secrets.values()]
    # Of a cookie and of a bearer token also the part that is the secret.
    parts = [part for value in values for part in re.split(r"[;=\s]+", value)]
    for secret in sorted({*values, *parts}, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    text = " ".join(printable(text).split())
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}..."


def _causes(error: BaseException) -> list[BaseException]:
    """An exception and everything that it wraps."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if any(one is other for other in seen):
            continue
        seen.append(one)
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]
    return seen


def _innermost(causes: list[BaseException]) -> str:
    """The reason in the system's own words."""
    for one in reversed(causes):
        if isinstance(one, OSError) and not isinstance(one, requests.RequestException):
            said = getattr(one, "verify_message", None) or one.strerror or str(one)
            return " ".join(str(said).split())
    return type(causes[-1]).__name__
