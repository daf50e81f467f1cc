"""A Kubernetes API on loopback, over HTTP as the real one speaks it; behind it is a ``Cluster``.

Discovery, get, list by labels, create, replace with ``resourceVersion``, server-side apply, delete.
"""

import json
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlparse

from .server_side_apply import Conflict

KINDS = {
    "api/v1": {"services": "Service", "pods": "Pod"},
    "apis/apps/v1": {"deployments": "Deployment"},
    "apis/coordination.k8s.io/v1": {"leases": "Lease"},
    "apis/gateway.networking.k8s.io/v1": {"grpcroutes": "GRPCRoute"},
    "apis/keda.sh/v1alpha1": {"scaledobjects": "ScaledObject"},
}
NAMESPACE = "judging"


class ApiHandler(BaseHTTPRequestHandler):
    """One request; a subclass has the ``cluster`` that it is about."""

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
            self._json(201, self.cluster.store(key, document))

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
            self._json(200, self.cluster.store(key, document))

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
