"""A Triton model with the judge's tensors that does what ``script.json`` in its checkpoint says.

It imports next to nothing, so a version loads in a second. ``reward`` is its answer, ``load_s`` how
long it takes to load; with ``breaks_as`` or ``fails_as`` it does not load, or judges nothing and
gives ``reason``, under a model name that ends so.
"""

import json
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        folder = Path(args["model_repository"]) / args["model_version"] / "checkpoint"
        script = json.loads((folder / "script.json").read_text())
        self.name, self.version = args["model_name"], args["model_version"]
        time.sleep(script.get("load_s", 0))
        if self.name.endswith(tuple(script.get("breaks_as", []))):
            raise RuntimeError("these weights are broken")
        self.judgement = self.judge(script)

    def judge(self, script):
        if self.name.endswith(tuple(script.get("fails_as", []))):
            reason = script.get("reason", "answer is not JSON: hm")
            return {"status": "failed", "reason": reason, "failure": "not_json"} | {"reward": None}
        scores = {"editing_success": 1, "over_editing": 2}
        return {"status": "ok", "scores": scores, "reward": script["reward"]}

    def execute(self, requests):
        time.sleep(0.02)
        return [self.answer(request) for request in requests]

    def answer(self, request):
        edits = len(pb_utils.get_input_tensor_by_name(request, "EDITED").as_numpy())
        reward = self.judgement["reward"]
        columns = {
            "REWARD": np.float32(np.nan if reward is None else reward),
            "STATUS": self.judgement["status"],
            "JUDGEMENT": json.dumps(self.judgement),
            "MODEL": self.name,
            "VERSION": self.version,
        }
        tensors = [
            pb_utils.Tensor(
                name,
                np.full((edits, 1), value, np.float32 if name == "REWARD" else np.object_),
            )
            for name, value in columns.items()
        ]
        tensors.append(pb_utils.Tensor("SCORES", np.full((edits, 4), np.nan, np.float32)))
        return pb_utils.InferenceResponse(output_tensors=tensors)
