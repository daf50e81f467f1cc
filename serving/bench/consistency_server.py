"""A server that imitates GRPO's consistency judge by a rule, because no model is available here.

It finds the labels of edits by the pixels of the edited pictures, and returns the share of words
that the given reasoning shares with the label's, in order. It fails a share of the requests, in all
the ways in which servers and models do.
"""

import base64
import difflib
import hashlib
import io
import json
import random
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from spatialreward.data.edits import LabelledEdit
from spatialreward.training.consistency import KEY

_REASONING = re.compile(
    r"\bwrote(?: about this picture)?:\n(.*?)\n(?:and gave |\nCheck )", re.DOTALL
)
_NO_ANSWERS = ("I cannot say.", json.dumps({KEY: 3}), json.dumps({"reasoning": "fine"}))


class ConsistencyServer:
    """Answers while ``running``; ``judge`` names it as settings do."""

    def __init__(self, edits: Iterable[LabelledEdit], failing: float, seed: int) -> None:
        """Index the labels.

        Args:
            edits: with labels, and with pictures in the protocol's size.
            failing: share of requests without a usable answer.
            seed: selects them.
        """
        self._labels = {_key(one.edited_image()): one.label for one in edits}
        self._failing = failing
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.judge = (
            f"openai:rule@http://127.0.0.1:{self._http.server_address[1]}/v1"
            "?max_attempts=1&give_up_after=none&pictures.format=png"
        )

    @contextmanager
    def running(self) -> Iterator["ConsistencyServer"]:
        """Serve for a ``with`` block."""
        thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def _reply(self, body: Mapping[str, Any]) -> tuple[int, str]:
        with self._lock:
            fails = self._random.random() < self._failing
            how = self._random.randrange(len(_NO_ANSWERS) + 1)
        if fails and how == len(_NO_ANSWERS):
            return 500, ""
        return 200, _NO_ANSWERS[how] if fails else json.dumps({KEY: self._consistency(body)})

    def _consistency(self, body: Mapping[str, Any]) -> float:
        parts = body["messages"][-1]["content"]
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        file = base64.b64decode(urls[-1].partition(",")[2])
        label = self._labels[_key(Image.open(io.BytesIO(file)))]
        found = _REASONING.search(text)
        assert found is not None
        true = label.sc_reasoning if len(urls) > 1 else label.pq_reasoning
        return difflib.SequenceMatcher(None, true.split(), found[1].split(), False).ratio()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, text = server._reply(body)
                choice = {"index": 0, "message": {"role": "assistant", "content": text}}
                answer = json.dumps({"choices": [choice]} if status == 200 else {"error": {}})
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        return Handler


def _key(picture: Image.Image) -> str:
    return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()
