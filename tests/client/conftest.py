"""A real gRPC server that speaks Triton's protocol and misbehaves on demand."""

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from spatialreward.edits import Edit
from spatialreward.errors import Failure
from spatialreward.images import decode_image
from spatialreward.records import Judgement, JudgementStatus, Scores

NUMBERS = 65_536


def marked(number):
    """A picture that says which one it is."""
    return Image.new("RGB", (3, 2), (number % 256, number // 256, 7))


def number_in(data):
    red, green, _ = decode_image(data, "picture").getpixel((0, 0))
    return red + 256 * green


def judged(edited, instruction):
    """What the server finds: a reward that says which edit it was; ``fail`` cannot be judged."""
    if instruction == b"fail":
        return Judgement.failed("answer is not JSON", Failure.NOT_JSON)
    return Judgement(
        status=JudgementStatus.OK,
        scores=Scores(editing_success=1, over_editing=2, naturalness=3, artifact_freedom=4),
        reward=number_in(edited) / NUMBERS,
    )


def read_request(request):
    """The request's tensors, by name."""
    tensors = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        is_text = tensor.datatype == "BYTES"
        values = deserialize_bytes_tensor(raw) if is_text else np.frombuffer(raw, np.int64)
        tensors[tensor.name] = values.reshape(tensor.shape)
    return tensors


def answer_to(judgements):
    """The answer's tensors, by name, where the server does not misbehave."""
    nan = float("nan")
    texts = {
        "STATUS": [one.status.encode() for one in judgements],
        "JUDGEMENT": [one.model_dump_json().encode() for one in judgements],
        "MODEL": [b"judge" for _ in judgements],
        "VERSION": [b"3" for _ in judgements],
    }
    scores = [one.scores.model_dump().values() if one.scores else [nan] * 4 for one in judgements]
    rewards = [[nan if one.reward is None else one.reward] for one in judgements]
    return {
        "REWARD": np.array(rewards, dtype=np.float32),
        "SCORES": np.array([list(row) for row in scores], dtype=np.float32),
    } | {name: np.array(values, dtype=object).reshape(-1, 1) for name, values in texts.items()}


def message_of(tensors):
    message = pb.ModelInferResponse(model_name="judge")
    for name, values in tensors.items():
        is_text = values.dtype == object
        message.outputs.add(name=name, datatype="BYTES" if is_text else "FP32", shape=values.shape)
        raw = serialize_byte_tensor(values).item() if is_text else values.tobytes()
        message.raw_output_contents.append(raw)
    return message


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Triton's service with one model, ``judge``."""

    def __init__(self):
        self.requests = []
        """Tensors of each request by name, and its id."""
        self.refusals = deque()
        """Code and message to refuse the next requests with."""
        self.delay_s = 0.0
        self.may_answer = threading.Event()
        """Clear it, and requests wait until it is set."""
        self.may_answer.set()
        self.spoil = dict
        """Changes an answer's tensors."""
        self.is_ready = True
        self.parameters = {"notice": "knows nothing"}
        """What the model's configuration says."""
        self.versions = [3]
        self.under_way = 0
        self.most_under_way = 0
        self.ended = threading.Event()
        """Set when a request has ended in whichever way."""
        self._lock = threading.Lock()

    def ModelReady(self, request, context):
        return pb.ModelReadyResponse(ready=self.is_ready and request.name == "judge")

    def ModelConfig(self, request, context):
        message = pb.ModelConfigResponse()
        for name, value in self.parameters.items():
            message.config.parameters[name].string_value = value
        message.config.version_policy.specific.versions.extend(self.versions)
        return message

    def ModelInfer(self, request, context):
        context.add_callback(self.ended.set)
        with self._lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return self._infer(request, context)
        finally:
            with self._lock:
                self.under_way -= 1

    def _infer(self, request, context):
        tensors = read_request(request)
        self.requests.append(tensors | {"id": request.id})
        if request.model_name != "judge":
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown model")
        if self.refusals:
            context.abort(*self.refusals.popleft())
        time.sleep(self.delay_s)
        self.may_answer.wait()
        edits = zip(tensors["EDITED"].ravel(), tensors["INSTRUCTION"].ravel(), strict=True)
        return message_of(self.spoil(answer_to([judged(*edit) for edit in edits])))


class Server:
    """The servicer at an address, from which it can go away and come back."""

    def __init__(self):
        self.servicer = Servicer()
        self._port = 0
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self._port}"

    def start(self):
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self.servicer, self._server)
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        self._server.start()

    def stop(self):
        self.servicer.may_answer.set()
        self._server.stop(grace=None).wait()

    def refuse(self, code, message="no", times=1):
        """Answer the next requests with a status."""
        self.servicer.refusals.extend([(grpc.StatusCode[code], message)] * times)

    def release_when(self, number):
        """Let requests wait until so many are under way, and a little longer, for more to come."""
        self.servicer.may_answer.clear()

        def release():
            while self.servicer.under_way < number:
                time.sleep(0.01)
            time.sleep(0.2)
            self.servicer.may_answer.set()

        threading.Thread(target=release, daemon=True).start()

    @property
    def sizes(self):
        """How many edits each request had that came so far."""
        return [len(request["EDITED"]) for request in self.servicer.requests]


@pytest.fixture
def start_server():
    """Starts one more server."""
    servers = []

    def start():
        servers.append(Server())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(start_server):
    return start_server()


@pytest.fixture(scope="session")
def picture():
    """Makes the picture with a number."""
    return marked


@pytest.fixture(scope="session")
def numbered_edits():
    """Makes edits of one source, which differ by the number in the edited picture."""

    def edits(numbers, instruction="add a circle", **fields):
        source = marked(0)
        return [Edit(source, marked(number), instruction, **fields) for number in numbers]

    return edits


@pytest.fixture(scope="session")
def numbers_of():
    """Reads from judgements which edits they are of."""

    def numbers(judgements):
        return [round(judgement.reward * NUMBERS) for judgement in judgements]

    return numbers
