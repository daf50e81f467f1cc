"""Triton's side of the judge: tensors in, tensors out; everything else is the library's."""

from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

from spatialreward.judge.engine import Judge
from spatialreward.judge.serving import judge_encoded

_INPUTS = ("SOURCE", "EDITED", "INSTRUCTION")


class TritonPythonModel:
    """Judges what the server has batched, all of it at once."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the checkpoint beside this file."""
        version = Path(args["model_repository"]) / args["model_version"]
        self._judge = Judge.load(version / "checkpoint")

    def execute(self, requests: list) -> list:
        """One response a request, each with a judgement an edit."""
        edits, sizes = [], []
        for request in requests:
            columns = [
                pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()
                for name in _INPUTS
            ]
            sizes.append(len(columns[0]))
            edits += zip(*columns, strict=True)
        answers = judge_encoded(self._judge, edits)
        responses, start = [], 0
        for size in sizes:
            column = np.array(answers[start : start + size], dtype=object).reshape(size, 1)
            tensor = pb_utils.Tensor("JUDGEMENT", column)
            responses.append(pb_utils.InferenceResponse(output_tensors=[tensor]))
            start += size
        return responses
