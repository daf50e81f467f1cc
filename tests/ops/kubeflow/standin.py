"""Kubeflow Pipelines' API over HTTP on loopback: what is sent and answered fits the specification.

Misbehaves on demand. It is no part of the product, and no test of it: what it answers was read in
the server's source and is held against the published specification with every request.
"""

import email
import email.policy
import json
import re
import ssl
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.ops.kubeflow.backend import INVALID_ARGUMENT, Backend, Invalid, Refusal, UploadRefusal
from tests.ops.kubeflow.specification import BrokenSpecification, check, operation

API = "/apis/v2beta1"
OPERATIONS = {
    ("GET", "/healthz"): ("HealthzServiceApi.healthz_service_get_healthz", "healthz"),
    ("POST", "/pipelines/upload"): ("PipelineUploadServiceApi.upload_pipeline", "upload_pipeline"),
    ("POST", "/pipelines/upload_version"): (
        "PipelineUploadServiceApi.upload_pipeline_version",
        "upload_version",
    ),
}
for _method, _path, _name, _does in (
    ("POST", "/pipelines", "pipeline_service_create_pipeline", "create_pipeline"),
    ("GET", "/pipelines", "pipeline_service_list_pipelines", "list_pipelines"),
    ("GET", "/pipelines/names/{name}", "pipeline_service_get_pipeline_by_name", "pipeline_by_name"),
    (
        "GET",
        "/pipelines/{pipeline_id}/versions",
        "pipeline_service_list_pipeline_versions",
        "list_versions",
    ),
    (
        "GET",
        "/pipelines/{pipeline_id}/versions/{pipeline_version_id}",
        "pipeline_service_get_pipeline_version",
        "get_version",
    ),
    ("POST", "/experiments", "experiment_service_create_experiment", "create_experiment"),
    ("GET", "/experiments", "experiment_service_list_experiments", "list_experiments"),
    ("POST", "/runs", "run_service_create_run", "create_run"),
    ("GET", "/runs", "run_service_list_runs", "list_runs"),
    ("GET", "/runs/{run_id}", "run_service_get_run", "get_run"),
    ("POST", "/runs/{run_id}:retry", "run_service_retry_run", "retry_run"),
    ("POST", "/runs/{run_id}:terminate", "run_service_terminate_run", "terminate_run"),
    ("POST", "/runs/{run_id}:archive", "run_service_archive_run", "archive_run"),
    (
        "POST",
        "/recurringruns",
        "recurring_run_service_create_recurring_run",
        "create_schedule",
    ),
    ("GET", "/recurringruns", "recurring_run_service_list_recurring_runs", "list_schedules"),
    (
        "DELETE",
        "/recurringruns/{recurring_run_id}",
        "recurring_run_service_delete_recurring_run",
        "delete_schedule",
    ),
    (
        "POST",
        "/recurringruns/{recurring_run_id}:enable",
        "recurring_run_service_enable_recurring_run",
        "enable_schedule",
    ),
    (
        "POST",
        "/recurringruns/{recurring_run_id}:disable",
        "recurring_run_service_disable_recurring_run",
        "disable_schedule",
    ),
):
    _api = "".join(word.title() for word in _name.partition("_service_")[0].split("_"))
    OPERATIONS[_method, _path] = (f"{_api}ServiceApi.{_name}", _does)
_STATUS = {3: 400, 5: 404, 6: 409, 7: 403, 10: 409, 13: 500, 16: 401}


class Fault:
    """What happens to a request instead of an answer."""

    def __init__(self, status=0, body=b"", headers=None, acts=False, cut=False, waits=None):
        """Describe it.

        Args:
            status: of the answer.
            body: of the answer, instead of the true one.
            headers: of the answer, beside.
            acts: whether the server does what it was asked before it fails.
            cut: whether the connection ends in the middle of the answer.
            waits: an event; no answer comes before it.
        """
        self.status, self.body, self.headers = status, body, headers or {}
        self.acts, self.cut, self.waits = acts, cut, waits


class StandIn:
    """The server; use it as a context."""

    def __init__(self):
        self.backend = Backend()
        self.requests = []
        """Method, path and headers of each request."""
        self.broken = []
        """What did not fit the specification."""
        self.token = ""
        """If set, who does not give it is not known."""
        self.asked = threading.Event()
        """Set once a run was asked for."""
        self.prefix = ""
        self._has_tls = False
        self._faults = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"standin": self})
        )
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self):
        scheme = "https" if self._has_tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_port}{self.prefix}"

    def use_tls(self, certificate, key):
        """Speak TLS from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # The handshake is the handler's, or one client that breaks it off would stop the server.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._has_tls = True

    def fail(self, method, path, fault, times=1):
        """Let the next requests of that method, to a path that matches, go wrong."""
        self._faults.extend([(method, re.compile(f"{self.prefix}{API}{path}"), fault)] * times)

    def count(self, method, path):
        """How many requests there were of that method, to a path that matches."""
        wanted = re.compile(f"{self.prefix}{API}{path}")
        return sum(one == method and bool(wanted.fullmatch(at)) for one, at, _ in self.requests)

    def fault_for(self, method, path):
        with self._lock:
            for one in self._faults:
                if one[0] == method and one[1].fullmatch(path):
                    self._faults.remove(one)
                    return one[2]
        return None

    def answer(self, method, path, query, body, content_type):
        """Status and object of the true answer."""
        with self._lock:
            try:
                return 200, self._do(method, path, query, body, content_type)
            except Refusal as error:
                return _STATUS[error.code], _status(error.code, str(error))
            except Invalid as error:
                return 400, _status(INVALID_ARGUMENT, str(error))
            except UploadRefusal as error:
                return error.status, {"error_message": str(error), "error_details": str(error)}
            except BrokenSpecification as error:
                self.broken.append(f"{method} {path}: {error}")
                return 400, _status(INVALID_ARGUMENT, str(error))

    def _do(self, method, path, query, body, content_type):
        for (verb, pattern), (name, does) in OPERATIONS.items():
            match = _matches(pattern, path.removeprefix(f"{self.prefix}{API}"))
            if verb != method or match is None:
                continue
            spec = operation(name, pattern)
            for key in query:
                if key not in spec.query:
                    raise BrokenSpecification(f"{name} has no {key} in its query")
            given = match | {"query": query}
            if spec.body:
                given["body"] = json.loads(body, object_hook=_with_long_numbers_as_text)
                check(given["body"], spec.body, spec.body)
            if content_type.startswith("multipart/form-data"):
                given |= _uploaded(body, content_type)
            answer = getattr(self.backend, does)(**given)
            check(answer, spec.answer, spec.answer)
            return answer
        raise Refusal(5, "Not Found")


def _with_long_numbers_as_text(told):
    """Numbers of 64 bits are text in the specification; protobuf's JSON takes numbers too."""
    long = {"max_concurrency", "interval_second"} & told.keys()
    return told | {key: str(told[key]) for key in long}


def _matches(pattern, path):
    # A verb after a colon is no part of an identifier.
    found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/:]+)", pattern), path)
    return None if found is None else {key: unquote(one) for key, one in found.groupdict().items()}


def _uploaded(body, content_type):
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            return {"content": part.get_payload(decode=True), "filename": part.get_filename()}
    raise UploadRefusal(400, "Failed to read pipeline from file")


def _status(code, message):
    details = [{"@type": "type.googleapis.com/google.rpc.Status", "message": message}]
    answer = {"code": code, "message": message, "details": details}
    check(answer, "GoogleRpcStatus", "error")
    return answer


class _Handler(BaseHTTPRequestHandler):
    standin: StandIn

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def _serve(self):
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.standin.requests.append((self.command, parts.path, dict(self.headers.items())))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        query = {key: value for key, value in query.items() if value}
        fault = self.standin.fault_for(self.command, parts.path) or Fault(acts=True)
        status, answer = 0, {}
        if self.standin.token and self.headers["authorization"] != f"Bearer {self.standin.token}":
            status, answer = 401, _status(16, "Request header error: there is no user identity")
        elif fault.acts:
            kind = self.headers.get("content-type", "")
            status, answer = self.standin.answer(self.command, parts.path, query, body, kind)
        if re.search(r"/runs/[^/:]+$", parts.path):
            self.standin.asked.set()
        if fault.waits is not None:
            fault.waits.wait()
        self._send(fault, fault.status or status, fault.body or json.dumps(answer).encode())

    def _send(self, fault, status, body):
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Connection": "close", **fault.headers}
        headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault.cut else body)
        self.close_connection = True

    do_GET = do_POST = do_DELETE = _serve
