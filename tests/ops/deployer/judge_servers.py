"""Versions of a judge that answer as a Triton server does, on loopback.

What a version says is a test's ``Script``.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from spatialreward.errors import Failure
from spatialreward.records import Judgement, JudgementStatus, Scores
from tests.client.conftest import answer_to, message_of, read_request


class Script:
    """What one version of the judge does."""

    def __init__(self, reward=0.5, fails=False):
        self.reward = reward
        self.fails = fails


class Version(service_pb2_grpc.GRPCInferenceServiceServicer):
    """One version's server."""

    def __init__(self, number, script):
        self.number = number
        self.script = script
        self.asked = 0
        """Edits that it has judged."""
        self._server = grpc.server(ThreadPoolExecutor(4))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def ModelReady(self, request, context):
        return pb.ModelReadyResponse(ready=request.name == "judge")

    def ModelInfer(self, request, context):
        edits = len(read_request(request)["EDITED"])
        tensors = answer_to([self.judgement()] * edits)
        tensors["VERSION"][:] = str(self.number).encode()
        self.asked += edits
        return message_of(tensors)

    def judgement(self):
        if self.script.fails:
            return Judgement.failed("answer is not JSON", Failure.NOT_JSON)
        scores = Scores(editing_success=1, over_editing=2, naturalness=3, artifact_freedom=4)
        return Judgement(status=JudgementStatus.OK, scores=scores, reward=self.script.reward)

    def stop(self):
        self._server.stop(grace=None).wait()


@contextmanager
def serving(number, **script):
    """A version's server for the length of a ``with`` block."""
    server = Version(number, Script(**script))
    try:
        yield server
    finally:
        server.stop()
