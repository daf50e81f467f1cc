"""Through a real Triton: a server that can judge no more does not look ready."""

import json
import shutil
from pathlib import Path

import pytest
from tritonclient.utils import InferenceServerException

from spatialreward.protocol.prompts import TINY
from spatialreward.stack import StackConfig, running_stack
from tests.triton.served_judge import (
    ONLY_TRITON,
    OWN_TEMPLATE,
    ServedJudge,
    send,
    unknown_edits,
)

# A worker takes what it is given, and is no more.
ENDING = """
from spatialreward.serving.scheduler import Scheduler

_NEXT_BATCH = Scheduler._next_batch
Scheduler._next_batch = lambda self, worker: (
    [] if (batch := _NEXT_BATCH(self, worker)) and Path({end!r}).exists() else batch
)
"""


@pytest.fixture(scope="module")
def end(tmp_path_factory):
    """Once this file is there, a worker ends over the next request."""
    return tmp_path_factory.mktemp("end") / "end"


@pytest.fixture(scope="module")
def served(end, tmp_path_factory):
    template = tmp_path_factory.mktemp("template") / "judge"
    shutil.copytree(OWN_TEMPLATE, template)
    with (template / "1" / "model.py").open("a") as program:
        program.write(Path(__file__).with_name("says.py").read_text())
        program.write(ENDING.format(end=str(end)))
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    TINY.write(checkpoint)
    (checkpoint / "card.json").write_text("{}")
    (checkpoint / "answer.txt").write_text(json.dumps({}))
    (checkpoint / "hold.txt").write_text(str(end.with_name("hold")))
    config = StackConfig(state_dir=tmp_path_factory.mktemp("triton"), without=ONLY_TRITON)
    with running_stack(config) as endpoints:
        served = ServedJudge(endpoints)
        served.deploy(checkpoint, template)
        yield served


def test_a_server_that_has_lost_a_worker_answers_what_it_had_taken_and_is_not_ready(
    served, end, wait_until
):
    assert served.is_well()
    end.touch()
    _, outcomes = send(served.client, "lost", unknown_edits(2))
    wait_until(lambda: outcomes)
    assert isinstance(outcomes[0], InferenceServerException)
    assert outcomes[0].status() == "StatusCode.UNAVAILABLE"
    wait_until(lambda: not served.client.is_model_ready("judge"))
    assert served.client.is_server_live()
