import pytest

from spatialreward.stack import StackConfig, running_stack
from tests.triton.served_judge import ONLY_TRITON, ServedJudge


@pytest.fixture(scope="session")
def served(judge_folder, tmp_path_factory):
    """A server with the test judge, for the tests of this folder."""
    config = StackConfig(state_dir=tmp_path_factory.mktemp("triton"), without=ONLY_TRITON)
    with running_stack(config) as endpoints:
        served = ServedJudge(endpoints)
        served.deploy(judge_folder)
        yield served
