"""A stand-in for a Kubernetes API, over real HTTP on loopback: TrainJobs, their pods, and logs.

It keeps what it is given and answers as the real one does where a follower can tell. What the
controllers of a cluster would do, a test does in their place.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import yaml

NAMESPACE = "kubeflow"
_JOBS = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{NAMESPACE}/trainjobs"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class ApiServer:
    """The cluster's state, and what is wrong with the cluster at the moment."""

    def __init__(self):
        self.jobs = {}
        self.pods = {}
        self.logs = {}
        self.created, self.deleted = [], []
        self.asked_for_logs = []
        self.on_look = []
        """Called one by one, at each look at a TrainJob: what happens in the cluster meanwhile."""
        self.failing = []
        """Statuses with which the next requests are answered; 0 cuts the connection."""
        self.log_cut_after = None
        """Bytes of the next log after which its connection is cut."""
        self.lingering = 0
        """Looks for which a deleted TrainJob is still there."""
        self.forbidden = False
        self.logs_forbidden = False

    # What the cluster's controllers do.

    def condition(self, name, kind, message=""):
        status = self.jobs[name].setdefault("status", {})
        status.setdefault("conditions", []).append(
            {
                "type": kind,
                "status": "True",
                "reason": kind,
                "message": message,
                "lastTransitionTime": "2026-11-25T12:00:00Z",
            }
        )

    def start(self, name, pod="node-0", created="2026-11-25T12:00:00Z"):
        """The first node is at work."""
        self.jobs[name].setdefault("status", {})["jobsStatus"] = [
            {"name": "node", "active": 1, "failed": 0, "ready": 1, "succeeded": 0, "suspended": 0}
        ]
        labels = {
            "jobset.sigs.k8s.io/jobset-name": name,
            "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "batch.kubernetes.io/job-completion-index": "0",
        }
        self.pods[pod] = {
            "metadata": {"name": pod, "labels": labels, "creationTimestamp": created},
            "spec": {"containers": [{"name": "node"}]},
            "status": {"phase": "Running"},
        }
        self.logs.setdefault(pod, [])

    def say(self, second, text, pod="node-0"):
        self.logs[pod].append(f"2026-11-25T12:00:{second:02}.000000000Z {text}\n")

    def pod_fails(self, status, reason, pod="node-0"):
        self.pods[pod]["status"] = {
            "phase": "Failed",
            "containerStatuses": [
                {
                    "name": "node",
                    "image": "i",
                    "imageID": "i",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"terminated": {"exitCode": status, "reason": reason}},
                }
            ],
        }

    # What it answers.

    def answer(self, method, path, query, body):
        if method == "POST" and path == _JOBS:
            return self._create(body)
        if method == "GET" and path == _JOBS:
            return 200, {"items": [one for one in self.jobs.values() if _chosen(one, query)]}
        if path.startswith(f"{_JOBS}/"):
            return self._one(method, path.rpartition("/")[2])
        if method == "GET" and path == _PODS:
            return 200, {
                "kind": "PodList",
                "items": [one for one in self.pods.values() if _chosen(one, query)],
            }
        if path.startswith(f"{_PODS}/") and path.endswith("/log"):
            if self.logs_forbidden:
                return 403, _status(403, "pipeline-runner cannot get pods/log")
            pod = path.split("/")[-2]
            self.asked_for_logs.append((pod, query))
            return (200, "".join(self.logs[pod])) if pod in self.logs else _missing(pod)
        return _missing(path)

    def _create(self, job):
        name = job["metadata"]["name"]
        if name in self.jobs:
            return 409, _status(409, f'trainjobs "{name}" already exists')
        self.jobs[name] = job
        self.created.append(name)
        return 201, job

    def _one(self, method, name):
        if method == "DELETE":
            if name not in self.jobs:
                return _missing(name)
            self.deleted.append(name)
            self.jobs[name]["metadata"]["deletionTimestamp"] = "2026-11-25T12:01:00Z"
            if not self.lingering:
                del self.jobs[name]
            return 200, _status(200, "deleted")
        if self.on_look:
            self.on_look.pop(0)()
        if name in self.jobs and self.jobs[name]["metadata"].get("deletionTimestamp"):
            self.lingering -= 1
            if self.lingering <= 0:
                del self.jobs[name]
        return (200, self.jobs[name]) if name in self.jobs else _missing(name)


@contextmanager
def api_server(folder, state=None):
    """Run one, with ``state`` if there is one; yields it and a kubeconfig for it."""
    state = state or ApiServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    config = folder / "kubeconfig"
    config.write_text(yaml.safe_dump(_kubeconfig(server.server_address[1])))
    try:
        yield state, config
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(state):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self):
            parts = urlsplit(self.path)
            query = {key: value[0] for key, value in parse_qs(parts.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            if state.forbidden:
                return self._send(403, _status(403, "pipeline-runner cannot do that"))
            if state.failing:
                status = state.failing.pop(0)
                if not status:
                    self.close_connection = True
                    return None
                return self._send(status, _status(status, "etcdserver: leader changed"))
            return self._send(*state.answer(self.command, parts.path, query, body))

        do_GET = do_POST = do_PATCH = do_DELETE = _do

        def _send(self, status, answer):
            plain = isinstance(answer, str)
            data = (answer if plain else json.dumps(answer)).encode()
            kind = "text/plain" if plain else "application/json"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if plain and state.log_cut_after is not None:
                data, state.log_cut_after = data[: state.log_cut_after], None
                self.close_connection = True
            self.wfile.write(data)

        def log_message(self, *_):
            """Nothing: tests say what was asked."""

    return Handler


def _chosen(one, query):
    wanted = dict(part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part)
    return wanted.items() <= one["metadata"].get("labels", {}).items()


def _status(code, message):
    return {"kind": "Status", "code": code, "message": message}


def _missing(name):
    return 404, _status(404, f'"{name}" not found')


def _kubeconfig(port):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [
            {"name": "x", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}
        ],
        "current-context": "x",
    }
