"""As much of the hub as handing one repository over takes; what was asked for is kept."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHA = "ab" * 20


@contextmanager
def running_hub(model, folder, kind="model"):
    """Serve a folder as ``model``; gives the address and the list of paths asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_HEAD(self):
            self._send(*_reply(kind, model, folder, self.path))

        def do_GET(self):
            self.wfile.write(self._send(*_reply(kind, model, folder, self.path)))

        def _send(self, status, body, headers):
            asked.append(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return body

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _reply(kind, model, folder, address):
    """Status, body and headers."""
    path = address.partition("?")[0]
    resolved = model if kind == "model" else f"{kind}s/{model}"
    for revision in (SHA, "main"):
        if path == f"/api/{kind}s/{model}/tree/{revision}":
            return 200, json.dumps(_tree(folder)).encode(), {}
        if path == f"/api/{kind}s/{model}/revision/{revision}":
            return 200, json.dumps({"id": model, "sha": SHA, "siblings": []}).encode(), {}
        beginning = f"/{resolved}/resolve/{revision}/"
        if path.startswith(beginning):
            file = folder / path.removeprefix(beginning)
            return 200, file.read_bytes(), {"X-Repo-Commit": SHA, "ETag": f'"{file.name}"'}
    known = path.startswith(f"/api/{kind}s/{model}/")
    return 404, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"}


def _tree(folder):
    return [
        {"type": "file", "path": one.name, "size": one.stat().st_size, "oid": one.name}
        for one in folder.iterdir()
    ]
