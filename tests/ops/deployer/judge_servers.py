"""Servers of a judge's versions on loopback, and the stable address in front of them.

They really answer over gRPC; what each version says is a test's ``Script``.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from spatialreward.errors import Failure
from spatialreward.records import Judgement, JudgementStatus, Scores
from tests.client.conftest import answer_to, message_of, read_request


class Script:
    """What one version of the judge does."""

    def __init__(self, reward=0.5, fails=False, starts=True, crashes="", delay_s=0.0, counts=True):
        self.reward = reward
        self.fails = fails
        self.starts = starts
        self.crashes = crashes
        """What its container says before it ends, again and again."""
        self.delay_s = delay_s
        self.counts = counts
        """Whether its metrics can be read."""


class Version(service_pb2_grpc.GRPCInferenceServiceServicer):
    """One version's server at an address of its own, ``127.0.0.N``."""

    def __init__(self, number, script, port):
        self.number = number
        self.script = script
        self.requests = self.failed = 0
        self.seconds = 0.0
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.{number}:{port}")
        self._server.start()

    def ModelReady(self, request, context):
        return pb.ModelReadyResponse(ready=request.name == "judge")

    def ModelInfer(self, request, context):
        started = time.monotonic()
        time.sleep(self.script.delay_s)
        edits = len(read_request(request)["EDITED"])
        judgement = self.judgement()
        tensors = answer_to([judgement] * edits)
        tensors["VERSION"][:] = str(self.number).encode()
        self.requests += 1
        self.failed += edits * (judgement.reward is None)
        self.seconds += time.monotonic() - started
        return message_of(tensors)

    def judgement(self):
        if self.script.fails:
            return Judgement.failed("answer is not JSON", Failure.NOT_JSON)
        scores = Scores(editing_success=1, over_editing=2, naturalness=3, artifact_freedom=4)
        return Judgement(status=JudgementStatus.OK, scores=scores, reward=self.script.reward)

    def metrics(self):
        labels = f'model="judge",version="{self.number}"'
        return (
            "# TYPE spatialreward_requests_total counter\n"
            f"spatialreward_requests_total{{{labels}}} {self.requests}\n"
            "# TYPE spatialreward_request_seconds_total counter\n"
            f"spatialreward_request_seconds_total{{{labels}}} {self.seconds}\n"
            "# TYPE spatialreward_edits_total counter\n"
            f'spatialreward_edits_total{{{labels},status="ok"}} {self.requests - self.failed}\n'
            f'spatialreward_edits_total{{{labels},status="failed"}} {self.failed}\n'
        )

    def stop(self):
        self._server.stop(grace=None).wait()


class Front(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Where clients ask: hands requests to whom Service and route name."""

    def __init__(self, cluster):
        self._cluster = cluster
        self.answered_by = []
        """The version of each request, in order."""
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def ModelReady(self, request, context):
        return self._whom(context).ModelReady(request, context)

    def ModelInfer(self, request, context):
        version = self._whom(context)
        self.answered_by.append(version.number)
        for copied in self._cluster.shadows():
            copied.ModelInfer(request, context)
        return version.ModelInfer(request, context)

    def _whom(self, context):
        version = self._cluster.ask_whom()
        if version is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "no endpoints")
        return version

    def stop(self):
        self._server.stop(grace=None).wait()
