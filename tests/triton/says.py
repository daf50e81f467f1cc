"""Appended to the served judge's ``model.py``: an engine that says what a file holds.

Everything else is the judge's own: Triton, tensors, decoding, queue, parsing. It waits as long as
there is a file ``hold`` beside the text.
"""

import time
from pathlib import Path

from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.qwen_vl.answers import Generated
from spatialreward.protocol.prompts import Protocol
from spatialreward.serving.config import ServingConfig
from spatialreward.serving.server import JudgeServer


class Says:
    def __init__(self, checkpoint: Path) -> None:
        self.text = (checkpoint / "answer.txt").read_text()
        self.hold = Path((checkpoint / "hold.txt").read_text())

    def answer(self, questions, measure, more):
        while self.hold.exists():
            time.sleep(0.02)
        for number in range(len(questions)):
            yield number, Generated(self.text, True, (1.0, 1.0))


def _load(cls, checkpoint, parameters, *, model, version, **more):
    judge = Judge(Says(checkpoint), Protocol.read(checkpoint), name=model, version=version)
    config = ServingConfig.of_parameters(parameters)
    return cls(judge.judge_each, config, identity=judge.identity, **more)


JudgeServer.load = classmethod(_load)
