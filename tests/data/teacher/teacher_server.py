"""A chat-completions server on loopback that answers as a test says, well or badly.

A plan takes what was asked and returns a reaction; ``in_turn`` plans one request after the other.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}


@dataclass(frozen=True)
class Asked:
    """One request, as the server got it."""

    body: dict[str, Any]
    headers: Message
    """By names of any case."""

    @property
    def text(self) -> str:
        parts = self.body["messages"][-1]["content"]
        return "\n".join(part["text"] for part in parts if part["type"] == "text")

    @property
    def pictures(self) -> list[str]:
        parts = self.body["messages"][-1]["content"]
        return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]

    @property
    def stage(self) -> str:
        if "An annotator looked" in self.text:
            return "verify"
        return "annotate" if "these regions" in self.text else "ground"

    @property
    def instruction(self) -> str:
        return json.loads(re.search(r"given this instruction: (.*)", self.text)[1])

    @property
    def way(self) -> str:
        return self.body.get("response_format", {}).get("type", "none")


@dataclass(frozen=True)
class Reaction:
    """What the server sends."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    """After so many bytes of the body the connection is closed, though more were announced."""
    released_by: threading.Event | None = None
    """The answer begins when this is set, or when the server is closed."""
    drips: bool = False
    """A byte now and then, so that no single read is late."""


def completion(content, *, usage=USAGE, finish="stop", refusal=None) -> bytes:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted-vl",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    return json.dumps(body if usage is None else {**body, "usage": usage}).encode()


def says(content: object, **more: Any) -> Reaction:
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    return Reaction(completion(text, **more))


def fails(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reaction:
    error = {"error": {"message": message, "type": "error", "code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if "Retry-After" not in named:
        # Tests need not wait for the client's own backoff.
        named["Retry-After-Ms"] = "1"
    return Reaction(json.dumps(error).encode(), status, named)


def annotation(asked: Asked, **changed: object) -> dict[str, object]:
    """A good answer to the first pass: it keeps every region that was proposed."""
    ids = [int(number) for number in re.findall(r"^region (\d+):", asked.text, re.MULTILINE)]
    answer = {
        "regions": [
            {"id": one, "label": f"thing {one}", "reasoning": f"thing {one} was added as asked"}
            for one in ids
        ],
        "dropped": [],
        "missing": [],
        "verdict": "the instruction was carried out and nothing else was changed",
        "editing_success": 22,
        "over_editing": 24,
        "quality": "the light is even and all edges are clean",
        "naturalness": 20,
        "artifact_freedom": 19,
    }
    return answer | changed


def well(asked: Asked) -> Reaction:
    match asked.stage:
        case "annotate":
            return says(annotation(asked))
        case "verify":
            return says({"reason": "boxes and scores fit what can be seen", "agrees": True})
        case _:
            box = {"picture": "edited", "label": "a red hat", "bbox_2d": [100, 200, 300, 400]}
            return says({"regions": [box]})


def in_turn(*reactions: Reaction) -> Callable[[Asked], Reaction]:
    """The first requests get these, later ones are answered well."""
    left = list(reactions)

    def plan(asked: Asked) -> Reaction:
        return left.pop(0) if left else well(asked)

    return plan


class TeacherServer:
    """The server, and what it saw."""

    def __init__(self, port: int = 0) -> None:
        self.plan: Callable[[Asked], Reaction] = well
        self.asked: list[Asked] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join(10)

    def stages(self) -> list[str]:
        with self.lock:
            return [asked.stage for asked in self.asked]

    def react(self, asked: Asked) -> Reaction:
        with self.lock:
            self.asked.append(asked)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            reaction = self.plan(asked)
        if reaction.released_by is not None:
            while not (reaction.released_by.wait(0.02) or self.closing.is_set()):
                pass
        return reaction

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reaction = server.react(Asked(json.loads(body), self.headers))
                with server.lock:
                    server.under_way -= 1
                try:
                    self._write(reaction)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _write(self, reaction):
                self.send_response(reaction.status)
                for name, value in reaction.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reaction.body)))
                self.end_headers()
                if reaction.drips:
                    for byte in reaction.body:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        if server.closing.wait(0.05):
                            break
                else:
                    self.wfile.write(reaction.body[: reaction.cut_at])
                if reaction.cut_at is not None:
                    self.wfile.flush()
                    self.close_connection = True

            def log_message(self, *args):
                """Nothing: tests read what was asked."""

        return Handler
