"""A Kubernetes API on loopback, and a cluster behind it that does what a test says.

The API is HTTP as the real one speaks it: discovery, get, list by labels, create, replace with
``resourceVersion``, server-side apply, delete. Behind it stand the controllers of a cluster in
small: a Deployment gets pods, whose servers really answer over gRPC, and requests to the stable
address go where Service and GRPCRoute say.
"""

import copy
import itertools
import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from spatialreward.errors import Failure
from spatialreward.records import Judgement, JudgementStatus, Scores
from tests.client.conftest import answer_to, message_of, read_request

from .server_side_apply import Conflict, apply, owned_by_hand

KINDS = {
    "api/v1": {"services": "Service", "pods": "Pod"},
    "apis/apps/v1": {"deployments": "Deployment"},
    "apis/coordination.k8s.io/v1": {"leases": "Lease"},
    "apis/gateway.networking.k8s.io/v1": {"grpcroutes": "GRPCRoute"},
    "apis/keda.sh/v1alpha1": {"scaledobjects": "ScaledObject"},
}
VERSION = "spatialreward.dev/model-version"
NAMESPACE = "judging"


class Script:
    """What one version of the judge does."""

    def __init__(self, reward=0.5, fails=False, starts=True, crashes="", delay_s=0.0, counts=True):
        self.reward = reward
        self.fails = fails
        self.starts = starts
        self.crashes = crashes
        """What its container says before it ends, again and again."""
        self.delay_s = delay_s
        self.counts = counts
        """Whether its metrics can be read."""


class Version(service_pb2_grpc.GRPCInferenceServiceServicer):
    """One version's server at an address of its own, ``127.0.0.N``."""

    def __init__(self, number, script, port):
        self.number = number
        self.script = script
        self.requests = self.failed = 0
        self.seconds = 0.0
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.{number}:{port}")
        self._server.start()

    def ModelReady(self, request, context):
        return pb.ModelReadyResponse(ready=request.name == "judge")

    def ModelInfer(self, request, context):
        started = time.monotonic()
        time.sleep(self.script.delay_s)
        edits = len(read_request(request)["EDITED"])
        judgement = self.judgement()
        tensors = answer_to([judgement] * edits)
        tensors["VERSION"][:] = str(self.number).encode()
        self.requests += 1
        self.failed += edits * (judgement.reward is None)
        self.seconds += time.monotonic() - started
        return message_of(tensors)

    def judgement(self):
        if self.script.fails:
            return Judgement.failed("answer is not JSON", Failure.NOT_JSON)
        scores = Scores(editing_success=1, over_editing=2, naturalness=3, artifact_freedom=4)
        return Judgement(status=JudgementStatus.OK, scores=scores, reward=self.script.reward)

    def metrics(self):
        labels = f'model="judge",version="{self.number}"'
        return (
            "# TYPE spatialreward_requests_total counter\n"
            f"spatialreward_requests_total{{{labels}}} {self.requests}\n"
            "# TYPE spatialreward_request_seconds_total counter\n"
            f"spatialreward_request_seconds_total{{{labels}}} {self.seconds}\n"
            "# TYPE spatialreward_edits_total counter\n"
            f'spatialreward_edits_total{{{labels},status="ok"}} {self.requests - self.failed}\n'
            f'spatialreward_edits_total{{{labels},status="failed"}} {self.failed}\n'
        )

    def stop(self):
        self._server.stop(grace=None).wait()


class Front(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Where clients ask: hands requests to whom Service and route name."""

    def __init__(self, cluster):
        self._cluster = cluster
        self.answered_by = []
        """The version of each request, in order."""
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def ModelReady(self, request, context):
        return self._whom(context).ModelReady(request, context)

    def ModelInfer(self, request, context):
        version = self._whom(context)
        self.answered_by.append(version.number)
        for copied in self._cluster.shadows():
            copied.ModelInfer(request, context)
        return version.ModelInfer(request, context)

    def _whom(self, context):
        version = self._cluster.ask_whom()
        if version is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "no endpoints")
        return version

    def stop(self):
        self._server.stop(grace=None).wait()


class Cluster:
    """Objects, who owns their fields, and what runs."""

    def __init__(self):
        self.objects = {}
        self.owners = {}
        self.scripts = {}
        self.versions = {}
        self.writes = []
        """Method, kind and name of everything that was written, in order."""
        self.refusals = {}
        """Status and message to refuse writes of a kind and name with."""
        self.rules = []
        """What the route said, in order."""
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._port = 0
        self._random = random.Random(1)
        self.front = Front(self)
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def version_address(self):
        """Pattern of the versions' addresses; they share a port that the first one chooses."""
        with self.lock:
            if not self._port:
                probe = Version(200, Script(), 0)
                self._port = probe.port
                probe.stop()
            return "127.0.0.{version}:" + str(self._port)

    def stop(self):
        self._http.shutdown()
        self._http.server_close()
        self.front.stop()
        for version in self.versions.values():
            version.stop()

    def by_hand(self, document):
        """An object that ``kubectl apply`` made."""
        with self.lock:
            plural = next(
                plural
                for kinds in KINDS.values()
                for plural, kind in kinds.items()
                if kind == document["kind"]
            )
            key = (plural, document["metadata"]["name"])
            self.owners[key] = {"kubectl": owned_by_hand(document)}
            self._store(key, copy.deepcopy(document))

    def found(self, plural, name):
        return self.objects.get((plural, name))

    def names(self, plural):
        return sorted(name for kind, name in self.objects if kind == plural)

    # What requests do.

    def ask_whom(self):
        """The server that answers the next request to the stable address; None: none."""
        with self.lock:
            rule = self._rule()
            backends = rule["backendRefs"] if rule else [{"name": "judge"}]
            weights = [backend.get("weight", 1) for backend in backends]
            if not sum(weights):
                return None
            (backend,) = self._random.choices(backends, weights)
            return self._server_of(backend["name"])

    def shadows(self):
        with self.lock:
            rule = self._rule() or {}
            mirrors = [one["requestMirror"]["backendRef"] for one in rule.get("filters", [])]
            return [self._server_of(backend["name"]) for backend in mirrors]

    def _rule(self):
        route = self.found("grpcroutes", "judge")
        return route["spec"]["rules"][0] if route else None

    def _server_of(self, service):
        selector = self.objects["services", service]["spec"]["selector"]
        ready = [
            int(pod["metadata"]["labels"][VERSION])
            for (plural, _), pod in self.objects.items()
            if plural == "pods"
            and pod["status"]["ready"]
            and selector.items() <= pod["metadata"]["labels"].items()
        ]
        return self.versions[self._random.choice(ready)] if ready else None

    # What is written.

    def apply(self, key, document, manager, force):
        with self.lock:
            stored = self.objects.get(key)
            if stored and key[0] == "deployments":
                self._check_selector(stored, document)
            merged, owners = apply(stored, document, manager, self.owners.get(key, {}), force=force)
            self.owners[key] = owners
            return self._store(key, merged)

    @staticmethod
    def _check_selector(stored, document):
        if stored["spec"]["selector"] != document["spec"].get("selector"):
            raise ValueError("spec.selector: Invalid value: field is immutable")

    def _store(self, key, document):
        before = self.objects.get(key)
        metadata = document["metadata"]
        metadata["resourceVersion"] = str(next(self._numbers))
        changed = before is None or before.get("spec") != document.get("spec")
        metadata["generation"] = metadata.get("generation", 0) + changed
        if key[0] == "deployments":
            document["spec"].setdefault("replicas", 1)
        self.objects[key] = document
        if key[0] == "deployments":
            self._run(key[1])
        if key[0] == "grpcroutes":
            self.rules.append(document["spec"]["rules"][0])
        return document

    def delete(self, key):
        with self.lock:
            found = self.objects.pop(key, None)
            self.owners.pop(key, None)
            if found and key[0] == "deployments":
                self._stop(int(found["metadata"]["labels"][VERSION]))
            return found

    # What the controllers make of it.

    def _run(self, name):
        deployment = self.objects["deployments", name]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        number = int(labels[VERSION])
        script = self.scripts.setdefault(number, Script())
        replicas = deployment["spec"]["replicas"]
        runs = bool(replicas) and script.starts and not script.crashes
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "updatedReplicas": replicas,
            "availableReplicas": replicas if runs else 0,
        }
        if not replicas:
            self._stop(number)
            return
        waiting = {"reason": "CrashLoopBackOff", "message": "back-off 40s"}
        ended = {"exitCode": 1, "message": script.crashes}
        crash = {
            "name": "triton",
            "restartCount": 3,
            "state": {"waiting": waiting},
            "lastState": {"terminated": ended},
        }
        self.objects["pods", f"{name}-0"] = {
            "metadata": {"name": f"{name}-0", "labels": labels},
            "status": {
                "podIP": f"127.0.0.{number}",
                "ready": runs,
                "containerStatuses": [crash] if script.crashes else [],
            },
        }
        if runs and number not in self.versions:
            port = int(self.version_address.rpartition(":")[2])
            self.versions[number] = Version(number, script, port)

    def _stop(self, number):
        self.objects.pop(("pods", f"judge-v{number}-0"), None)
        if number in self.versions:
            self.versions.pop(number).stop()


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        where = urlparse(self.path)
        if where.path.startswith("/metrics/"):
            version = self.cluster.versions[int(where.path.rpartition(".")[2])]
            self._send(200 if version.script.counts else 503, version.metrics().encode())
            return
        if kinds := KINDS.get(where.path.strip("/")):
            resources = [{"name": plural, "kind": kind} for plural, kind in kinds.items()]
            # Subresources are listed, too.
            resources.append({"name": "deployments/status", "kind": "Deployment"})
            self._json(200, {"kind": "APIResourceList", "resources": resources})
            return
        plural, name = self._address()
        with self.cluster.lock:
            if name:
                found = self.cluster.found(plural, name)
                self._json(200, found) if found else self._no(404, f'{plural} "{name}" not found')
                return
            wanted = parse_qs(where.query).get("labelSelector", [""])[0]
            labels = dict(one.split("=") for one in wanted.split(",") if one)
            items = [
                one
                for (kind, _), one in self.cluster.objects.items()
                if kind == plural and labels.items() <= one["metadata"].get("labels", {}).items()
            ]
            self._json(200, {"items": items})

    def do_PATCH(self):
        if self.headers["Content-Type"] != "application/apply-patch+yaml":
            self._no(415, f"the body of the request was in {self.headers['Content-Type']}")
            return
        query = parse_qs(urlparse(self.path).query)
        key, document = self._address(), self._body()
        if self._refused(key):
            return
        if document["metadata"]["name"] != key[1]:
            self._no(400, "metadata.name must match the address")
            return
        try:
            force = query.get("force") == ["true"]
            stored = self.cluster.apply(key, document, query["fieldManager"][0], force)
        except Conflict as error:
            self._no(409, f"Apply failed with 1 conflict: {error}")
        except ValueError as error:
            self._no(422, str(error))
        else:
            self._json(200, stored)

    def do_POST(self):
        plural, _ = self._address()
        document = self._body()
        key = (plural, document["metadata"]["name"])
        if self._refused(key):
            return
        with self.cluster.lock:
            if key in self.cluster.objects:
                self._no(409, f'{plural} "{key[1]}" already exists')
                return
            self._json(201, self.cluster._store(key, document))

    def do_PUT(self):
        key, document = self._address(), self._body()
        if self._refused(key):
            return
        with self.cluster.lock:
            stored = self.cluster.objects.get(key)
            if not stored or stored["metadata"]["resourceVersion"] != document["metadata"].get(
                "resourceVersion"
            ):
                self._no(409, "the object has been modified; please apply your changes to it")
                return
            self._json(200, self.cluster._store(key, document))

    def do_DELETE(self):
        key = self._address()
        if self._refused(key):
            return
        found = self.cluster.delete(key)
        self._json(200, found) if found else self._no(404, f'{key[0]} "{key[1]}" not found')

    def _address(self):
        parts = urlparse(self.path).path.strip("/").split("/")
        at = parts.index("namespaces")
        assert parts[at + 1] == NAMESPACE
        assert parts[at + 2] in KINDS["/".join(parts[:at])]
        return parts[at + 2], parts[at + 3] if len(parts) > at + 3 else None

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _refused(self, key):
        self.cluster.writes.append((self.command, *key))
        refusal = self.cluster.refusals.get(key)
        if refusal:
            self._no(*refusal)
        return refusal

    def _no(self, code, message):
        self._json(code, {"kind": "Status", "status": "Failure", "message": message, "code": code})

    def _json(self, code, value):
        self._send(code, json.dumps(value).encode())

    def _send(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
