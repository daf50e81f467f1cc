"""The deployer's addresses: ``/webhook``, ``/healthz``, ``/readyz`` and ``/metrics``."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployer.config import DeployerConfig
from spatialreward.ops.deployer.metrics import CONTENT_TYPE, Metrics
from spatialreward.ops.deployer.status import Status
from spatialreward.ops.deployer.webhook import WebhookRefused, check_signature, concerns
from spatialreward.ops.registry import CHAMPION

logger = logging.getLogger(__name__)

_SLOWEST_S = 10.0
"""How long a client may take to send its request."""


class Answering(NamedTuple):
    """What the handlers work with."""

    config: DeployerConfig
    secret: str
    """Of webhooks; empty: none is accepted."""
    status: Status
    metrics: Metrics
    wake: threading.Event
    """Set by a webhook that is about whom we follow."""


@contextmanager
def serving(what: Answering) -> Iterator[int]:
    """Answer HTTP for the length of a ``with`` block; yields the port.

    Raises:
        InvalidInputError: the address cannot be listened at.
    """
    handler = type("Handler", (_Handler,), {"what": what})
    where = (what.config.host, what.config.port)
    try:
        server = ThreadingHTTPServer(where, handler)
    except OSError as error:
        raise InvalidInputError(f"{where[0]}:{where[1]}: {error.strerror}") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http")
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    what: Answering
    timeout = _SLOWEST_S
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "spatialreward-deployer", ""

    def do_GET(self) -> None:
        match self.path:
            case "/healthz":
                self._answer(HTTPStatus.OK, b"ok\n")
            case "/readyz":
                ready, told = self.what.status.told()
                status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
                self._answer(status, json.dumps(told).encode() + b"\n", "application/json")
            case "/metrics":
                self._answer(HTTPStatus.OK, self.what.metrics.text(), CONTENT_TYPE)
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"not found\n")

    def do_POST(self) -> None:
        if self.path != "/webhook":
            self._answer(HTTPStatus.NOT_FOUND, b"not found\n", close=True)
            return
        try:
            concerned = self._webhook()
        except WebhookRefused as error:
            logger.warning("webhook refused: %s", error)
            self.what.metrics.webhook("refused")
            self._answer(error.status, f"{error}\n".encode(), close=True)
            return
        self.what.metrics.webhook("accepted" if concerned else "ignored")
        if concerned:
            logger.info("webhook: %s has moved", CHAMPION)
            self.what.wake.set()
        self._answer(HTTPStatus.ACCEPTED, b"seen\n")

    def _webhook(self) -> bool:
        config = self.what.config
        if not self.what.secret:
            raise WebhookRefused(HTTPStatus.FORBIDDEN, "this deployer was given no secret")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise WebhookRefused(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
        if len(length) > 12 or int(length) > config.webhook.max_bytes:
            raise WebhookRefused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {config.webhook.max_bytes} bytes"
            )
        body = self._body(int(length))
        check_signature(
            self.headers,
            body,
            self.what.secret,
            max_age_s=config.webhook.max_age_s,
            now=time.time(),
        )
        return concerns(body, config.name, CHAMPION)

    def _body(self, length: int) -> bytes:
        """What the client sends, unless it takes its time over it."""
        deadline = time.monotonic() + _SLOWEST_S
        body = b""
        while len(body) < length:
            try:
                part = self.rfile.read1(length - len(body))
            except OSError as error:
                raise WebhookRefused(HTTPStatus.REQUEST_TIMEOUT, "the body is late") from error
            if not part:
                raise WebhookRefused(HTTPStatus.BAD_REQUEST, "the body ends early")
            if time.monotonic() > deadline:
                raise WebhookRefused(HTTPStatus.REQUEST_TIMEOUT, "the body is late")
            body += part
        return body

    def _answer(
        self,
        status: HTTPStatus,
        body: bytes,
        content_type: str = "text/plain; charset=utf-8",
        *,
        close: bool = False,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if close:
            # What was not read of the request must not be taken for the next one.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        logger.debug("%s %s", self.address_string(), format % args)
