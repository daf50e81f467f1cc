import json
import re
import time
import urllib.request
from pathlib import Path

import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

import spatialreward
from spatialreward.deployment import deploy_once
from spatialreward.judge.engine import Judge
from spatialreward.records import JudgementStatus
from spatialreward.stack import Service, StackConfig, running_stack

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
        repository = self.triton.model_repository
        deploy_once(checkpoint, template=template, repository=repository, endpoint=self.endpoint)

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
            told = {"judged_by", "reward", "soft_scores"}
            if judgement.model_dump(exclude=told) == known.model_dump(exclude=told):
                assert judgement.reward == pytest.approx(known.reward, abs=1e-4)
                return number
        return None


@pytest.fixture(scope="session")
def known(judge_folder, known_edits):
    judgements = Judge.load(judge_folder).judge(known_edits)
    assert all(one.status is JudgementStatus.OK for one in judgements)
    known = Known(known_edits, judgements)
    assert [known.number_of(one) for one in judgements] == [0, 1, 2, 3]
    return known


@pytest.fixture(scope="session")
def own_template():
    """The folder with the judge as a Triton model."""
    return OWN_TEMPLATE


@pytest.fixture(scope="session")
def without_others():
    """What a stack of Triton alone leaves out."""
    return frozenset({Service.S3, Service.MLFLOW})


@pytest.fixture(scope="module")
def served(judge_folder, tmp_path_factory):
    """A server of the module's own with the test judge."""
    config = StackConfig(
        state_dir=tmp_path_factory.mktemp("triton"),
        without=frozenset({Service.S3, Service.MLFLOW}),
    )
    with running_stack(config) as endpoints:
        served = ServedJudge(endpoints)
        served.deploy(judge_folder)
        yield served


@pytest.fixture(scope="session")
def wait_until():
    """Waits for something to hold, not for ever."""

    def wait(holds, timeout_s=60.0):
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)

    return wait
