"""A Triton model with the judge's tensors that does what ``script.json`` in its checkpoint says.

It needs no torch, so a version loads in a second: ``reward`` is its answer; ``load_s`` is how long
it takes to load; with ``breaks_as`` or ``fails_as`` it does not load, or judges nothing, under a
model name that ends so.
"""

import json
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

from spatialreward.records import Judgement, JudgementStatus, Scores


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
            return Judgement(status=JudgementStatus.FAILED, reason="answer is not JSON: hm")
        score = script["reward"] * 25
        scores = Scores(editing_success=score, over_editing=score)
        return Judgement(status=JudgementStatus.OK, scores=scores, reward=script["reward"])

    def execute(self, requests):
        time.sleep(0.02)
        return [self.answer(request) for request in requests]

    def answer(self, request):
        edits = len(pb_utils.get_input_tensor_by_name(request, "EDITED").as_numpy())
        reward = self.judgement.reward
        columns = {
            "REWARD": np.float32(np.nan if reward is None else reward),
            "STATUS": self.judgement.status.value,
            "JUDGEMENT": self.judgement.model_dump_json(),
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
