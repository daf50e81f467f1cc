"""One request to the API server, and whether it is asked again.

Nothing here knows what is asked. Of a request that failed it is said whether the server may have
acted on it: ``ServerUnreachable`` means that it was never sent.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import requests
import tenacity
import urllib3
from requests.adapters import HTTPAdapter

from spatialreward.ops.kubeflow.config import ServerConfig
from spatialreward.ops.kubeflow.errors import (
    AnswerLost,
    CertificateRefused,
    ServerFault,
    ServerUnreachable,
)
from spatialreward.ops.kubeflow.reasons import Asked, no_answer, understood

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 256 * 2**20
_FIRST_WAIT_S, _MAX_WAIT_S = 0.5, 8.0

Query = Mapping[str, str | int]


class Bearer(requests.auth.AuthBase):
    """Sets our headers, and keeps ``requests`` from taking a password out of ``~/.netrc``."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Set these headers."""
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add them."""
        request.headers.update(self._headers)
        return request


class OneServer(requests.Session):
    """Looks at no redirect, not even where it would lead: what is sent is for one server."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, ever; an address that is none would raise here, and the body be read in full."""


class Transport:
    """Sends requests to one server."""

    def __init__(self, config: ServerConfig, sleep: Callable[[float], object] = time.sleep) -> None:
        """Connect when something is asked.

        Args:
            config: where the server is.
            sleep: waits so many seconds between attempts.
        """
        self._config = config
        self.sleep = sleep
        self._session = OneServer()
        self._session.headers.update({"Connection": "close", "Accept": "application/json"})
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=0))

    def close(self) -> None:
        """Let go of what is open."""
        self._session.close()

    def __enter__(self) -> Self:
        """The transport itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def server(self) -> str:
        """How errors call it."""
        return Asked(self._config.url, "").server

    def get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """Ask for something, again if need be."""
        return self._send("GET", path, query=query, repeatable=True)

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool = False
    ) -> dict[str, Any]:
        """Have something done; again only if that changes nothing, or it was never sent."""
        data = json.dumps({} if body is None else body).encode()
        headers = {"Content-Type": "application/json"}
        return self._send("POST", path, data=data, headers=headers, repeatable=repeatable)

    def delete(self, path: str) -> dict[str, Any]:
        """Have something removed."""
        return self._send("DELETE", path, repeatable=False)

    def upload(self, path: str, query: Query, filename: str, content: bytes) -> dict[str, Any]:
        """Send a file under a name that the server takes only once, so that it may be repeated."""
        files = {"uploadfile": (filename, content, "application/octet-stream")}
        return self._send("POST", path, query=query, files=files, repeatable=True)

    def _send(
        self, method: str, path: str, *, repeatable: bool, query: Query | None = None, **what: Any
    ) -> dict[str, Any]:
        again = (AnswerLost, ServerFault) if repeatable else ()
        retrying = tenacity.Retrying(
            sleep=self.sleep,
            stop=tenacity.stop_after_attempt(self._config.attempts),
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_MAX_WAIT_S),
            retry=tenacity.retry_if_exception(
                lambda error: (
                    isinstance(error, (ServerUnreachable, *again))
                    and not isinstance(error, CertificateRefused)
                )
            ),
            before_sleep=lambda state: logger.debug(
                "attempt %d: %s", state.attempt_number, state.outcome and state.outcome.exception()
            ),
            reraise=True,
        )
        return retrying(self._attempt, method, path, query, what)

    def _attempt(
        self, method: str, path: str, query: Query | None, what: Mapping[str, Any]
    ) -> dict[str, Any]:
        credentials = self._config.credentials.to_headers()
        asked = Asked(self._config.url, f"{method} {path}")
        deadline = time.monotonic() + self._config.timeout_s
        verify = str(self._config.ca_file) if self._config.ca_file else True
        try:
            with self._session.request(
                method,
                f"{self._config.url}{path}",
                params=query,
                auth=Bearer(credentials),
                timeout=self._config.timeout_s,
                verify=verify,
                allow_redirects=False,
                stream=True,
                **what,
            ) as response:
                body = self._read(response, deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(error, asked, self._config.timeout_s) from error
        finally:
            # A kept connection that the server closes just then would leave open whether the next
            # request was acted on, so each has its own; not every server heeds the header.
            self._session.close()
        return understood(response, body, asked, credentials)

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        # Not iter_content: it waits for a whole chunk, however slowly the bytes drip.
        while chunk := response.raw.read1(2**16, decode_content=True):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise urllib3.exceptions.ProtocolError("the answer has no end")
            if time.monotonic() > deadline:
                raise urllib3.exceptions.TimeoutError
        return bytes(body)
