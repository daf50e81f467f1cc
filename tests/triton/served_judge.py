"""What the tests of this folder can see of a served judge, and what they know of its answers."""

import json
import re
import urllib.request
from pathlib import Path

import pytest
import tritonclient.grpc
from PIL import Image
from tritonclient.utils import InferenceServerException

import spatialreward
from spatialreward.client.wire import request_tensors
from spatialreward.edits import Edit
from spatialreward.images import encode_png
from spatialreward.ops.deployment import deploy
from spatialreward.stack import Service

ONLY_TRITON = frozenset({Service.S3, Service.MLFLOW})
OWN_TEMPLATE = Path(spatialreward.__file__).parents[1] / "serving" / "judge"
SERIES_LINE = re.compile(r"(?P<metric>\w+)\{(?P<labels>.*)\} (?P<value>\S+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')


class ServedJudge:
    """A model on a real server, and what can be seen of it from outside."""

    def __init__(self, endpoints):
        (process,) = endpoints.processes
        self.pid = process.pid
        self.log = process.log
        self.triton = endpoints.triton
        self.endpoint = endpoints.triton.grpc
        self.client = tritonclient.grpc.InferenceServerClient(self.endpoint)

    def deploy(self, checkpoint, template=OWN_TEMPLATE):
        deploy(
            checkpoint,
            template=template,
            repository=self.triton.model_repository,
            endpoint=self.endpoint,
            key=self.triton.repository_key,
        )

    def is_well(self):
        """Whether the server lives and its model can be asked."""
        try:
            return self.client.is_server_live() and self.client.is_model_ready("judge")
        except InferenceServerException:
            return False

    def metrics_text(self):
        with urllib.request.urlopen(self.triton.metrics, timeout=10) as response:
            return response.read().decode()

    def metrics(self):
        """The model's values by metric and further labels, such as ``edits_total/ok``."""
        values = {}
        for line in SERIES_LINE.finditer(self.metrics_text()):
            labels = dict(LABEL.findall(line["labels"]))
            if labels.pop("model", "") == "judge":
                labels.pop("version")
                name = line["metric"].removeprefix("spatialreward_")
                values["/".join([name, *labels.values()])] = float(line["value"])
        return values

    def log_lines(self):
        """What the model has logged; Triton's own lines are left out."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, request_id):
        """What the model has logged about a request."""
        return [line for line in self.log_lines() if line.get("request_id") == request_id]


class Known:
    """The edits that the test judge knows, and what it says of each."""

    def __init__(self, edits, judgements):
        self.edits = edits
        self.judgements = judgements

    def number_of(self, judgement):
        """Which of the edits this is the judgement of; None if it is of none of them."""
        for number, known in enumerate(self.judgements):
            varying = {"judged_by", "reward", "soft_scores"}
            if judgement.model_dump(exclude=varying) == known.model_dump(exclude=varying):
                assert judgement.reward == pytest.approx(known.reward, abs=1e-4)
                return number
        return None


def unknown_edits(number):
    """Edits that the test judge has never seen, all different; it babbles about them for long."""
    pictures = [Image.effect_noise((64, 64), 90).convert("RGB") for _ in range(number)]
    return [Edit(picture, picture, "paint it blue") for picture in pictures]


def send(client, request_id, edits):
    """Ask and do not wait; returns what can be cancelled, and where the outcome will be."""
    outcomes = []
    call = client.async_infer(
        "judge",
        request_tensors(edits, encode_png),
        lambda result, error: outcomes.append(error or result),
        request_id=request_id,
    )
    return call, outcomes
