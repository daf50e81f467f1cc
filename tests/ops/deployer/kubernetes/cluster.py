"""A cluster that does what a test says, behind a Kubernetes API on loopback (``api_server``).

Behind the API stand the controllers of a cluster in small: a Deployment gets pods, whose servers
really answer over gRPC (``judge_servers``), and requests to the stable address go where Service and
GRPCRoute say.
"""

import copy
import itertools
import random
import threading
from http.server import ThreadingHTTPServer

from .api_server import KINDS, ApiHandler
from .judge_servers import Front, Script, Version
from .server_side_apply import apply, owned_by_hand

VERSION = "spatialreward.dev/model-version"


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
        handler = type("Handler", (ApiHandler,), {"cluster": self})
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
            self.store(key, copy.deepcopy(document))

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
            return self.store(key, merged)

    @staticmethod
    def _check_selector(stored, document):
        if stored["spec"]["selector"] != document["spec"].get("selector"):
            raise ValueError("spec.selector: Invalid value: field is immutable")

    def store(self, key, document):
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
