import time

import pytest

from spatialreward.judges.engines.engine import Judge
from spatialreward.records import JudgementStatus
from spatialreward.stack import StackConfig, running_stack
from tests.triton.served_judge import ONLY_TRITON, Known, ServedJudge


@pytest.fixture(scope="session")
def known(judge_folder, known_edits):
    judgements = Judge.load(judge_folder).judge(known_edits)
    assert all(one.status is JudgementStatus.OK for one in judgements)
    known = Known(known_edits, judgements)
    assert [known.number_of(one) for one in judgements] == [0, 1, 2, 3]
    return known


@pytest.fixture(scope="module")
def served(judge_folder, tmp_path_factory):
    """A server of the module's own with the test judge."""
    config = StackConfig(state_dir=tmp_path_factory.mktemp("triton"), without=ONLY_TRITON)
    with running_stack(config) as endpoints:
        served = ServedJudge(endpoints)
        served.deploy(judge_folder)
        yield served


@pytest.fixture(scope="session")
def wait_until():
    """Waits for a condition, with a timeout."""

    def wait(holds, timeout_s=300.0):
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"timed out after {timeout_s:g} s"
            time.sleep(0.05)

    return wait
