"""A container registry on loopback: manifests, tokens for them, and pushes of them."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    """What it has, and how it misbehaves."""

    def __init__(self, address):
        self.address = address
        self.manifests = {}
        """Media type and bytes, by repository and tag."""
        self.needs_token = False
        self.token_url = f"http://{address}/token"
        self.claims = None
        """A digest to claim, whatever is sent."""
        self.requests = []

    def add(self, repository, tag, layers, media_type=INDEX):
        """Add an image; returns its digest."""
        body = json.dumps({"schemaVersion": 2, "mediaType": media_type, "layers": layers}).encode()
        self.manifests[repository, tag] = media_type, body
        return digest_of(body)


def digest_of(body):
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@contextmanager
def running_registry():
    """A registry for the length of a ``with`` block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.registry = Registry(f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        registry = self.server.registry
        registry.requests.append((self.path, self.headers.get("Authorization")))
        if self.path.startswith("/token"):
            return self._send(200, "application/json", json.dumps({"token": "let-me-in"}).encode())
        if registry.needs_token and self.headers.get("Authorization") != "Bearer let-me-in":
            where = f'realm="{registry.token_url}",service="registry",scope="repository:x:pull"'
            return self._send(
                401, "application/json", b"{}", {"WWW-Authenticate": f"Bearer {where}"}
            )
        found = registry.manifests.get(self._asked())
        if found is None or found[0] not in self.headers.get("Accept", ""):
            return self._send(404, "application/json", b'{"errors": []}')
        media_type, body = found
        claimed = registry.claims or digest_of(body)
        return self._send(200, media_type, body, {"Docker-Content-Digest": claimed})

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.registry.manifests[self._asked()] = self.headers["Content-Type"], body
        self._send(201, "text/plain", b"", {"Docker-Content-Digest": digest_of(body)})

    def _asked(self):
        repository, _, tag = self.path.removeprefix("/v2/").rpartition("/manifests/")
        return repository, tag

    def _send(self, status, media_type, body, headers=None):
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass
