"""The deployer's addresses: ``/healthz``, ``/readyz`` and ``/metrics``."""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployer.status import Status

logger = logging.getLogger(__name__)

_SLOWEST_S = 10.0
"""How long a client may take to send its request."""


@contextmanager
def serving(host: str, port: int, status: Status, metrics: CollectorRegistry) -> Iterator[int]:
    """Answer HTTP for the length of a ``with`` block; yields the port.

    Raises:
        InvalidInputError: the address cannot be listened at.
    """
    try:
        # A silent client holds a thread of its own, so probes are still answered.
        server = make_server(host, port, _app(status, metrics), ThreadingWSGIServer, _Handler)
    except OSError as error:
        raise InvalidInputError(f"{host}:{port}: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http")
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _app(status: Status, metrics: CollectorRegistry) -> Callable[..., Iterable[bytes]]:
    """The three addresses as a WSGI application."""
    answer_metrics = make_wsgi_app(metrics)

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        code, body = HTTPStatus.OK, "ok"
        match environ["PATH_INFO"]:
            case "/metrics":
                return answer_metrics(environ, start_response)
            case "/readyz":
                ready, facts = status.readiness()
                body = json.dumps(facts)
                if not ready:
                    code = HTTPStatus.SERVICE_UNAVAILABLE
            case path if path != "/healthz":
                code, body = HTTPStatus.NOT_FOUND, "not found"
        kind = "application/json" if body.startswith("{") else "text/plain; charset=utf-8"
        start_response(f"{code.value} {code.phrase}", [("Content-Type", kind)])
        return [f"{body}\n".encode()]

    return app


class _Handler(WSGIRequestHandler):
    timeout = _SLOWEST_S

    def log_message(self, format: str, *args: object) -> None:
        logger.debug("%s %s", self.address_string(), format % args)
