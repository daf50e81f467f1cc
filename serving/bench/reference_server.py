"""A re-creation of the reward server used in image-editing RL so far, as a baseline.

As in EditScore's ``OmniGen2-RL`` example: a threaded Flask server takes a pickled batch, a queue
passes it to one worker thread, which judges one request at a time, and each waiting connection
polls every 50 ms for its result. The engine is ours, with all its optimisations; everything around
it differs.

Unpickling a client's data runs the client's code. Never expose this server.
"""

import argparse
import pickle
import queue
import threading
import time
import uuid
from pathlib import Path

from flask import Flask, request

from spatialreward.edits import Edit
from spatialreward.judges.engines.engine import Judge

_POLL_S = 0.05
_TIMEOUT_S = 600.0


def serve(judge: Judge, port: int) -> None:
    """Serve on loopback until killed."""
    waiting: queue.Queue = queue.Queue()
    results: dict[str, bytes] = {}
    app = Flask(__name__)

    def work() -> None:
        while True:
            task, edits = waiting.get()
            payload = [
                {"reward": one.reward if one.reward is not None else 0.0, "score": one.reward}
                for one in judge.judge(edits)
            ]
            results[task] = pickle.dumps(payload)

    @app.post("/")
    def evaluate() -> tuple[bytes, int]:
        data = pickle.loads(request.data)
        edits = [
            Edit(sources[0].convert("RGB"), edited.convert("RGB"), meta["instruction"])
            for sources, edited, meta in zip(
                data["input_images"], data["output_image"], data["meta_data"], strict=True
            )
        ]
        task = str(uuid.uuid4())
        waiting.put((task, edits))
        until = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < until:
            if task in results:
                return results.pop(task), 200
            time.sleep(_POLL_S)
        return b"", 504

    @app.get("/ready")
    def ready() -> str:
        return "ready"

    threading.Thread(target=work, daemon=True).start()
    app.run("127.0.0.1", port, threaded=True, use_reloader=False)


def main() -> None:
    """Load a judge and serve it."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.bench.reference_server",
        description="Serve a judge as image-editing RL has done so far, to be measured against.",
    )
    parser.add_argument("--judge", type=Path, required=True, help="checkpoint")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    serve(Judge.load(arguments.judge), arguments.port)


if __name__ == "__main__":
    main()
