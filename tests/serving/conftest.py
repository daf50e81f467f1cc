import pytest

from spatialreward.serving.config import ServingConfig
from spatialreward.serving.scheduler import Scheduler


@pytest.fixture
def running():
    schedulers = []

    def start(judge, **config):
        schedulers.append(Scheduler(judge, ServingConfig(**{"batch_delay_s": 0, **config})))
        return schedulers[-1]

    yield start
    for scheduler in schedulers:
        scheduler.close()
