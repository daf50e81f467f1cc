import json
import socket
import urllib.request
from urllib.error import HTTPError

import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployer.backends import Served
from spatialreward.ops.deployer.http import serving
from spatialreward.ops.deployer.metrics import Metrics
from spatialreward.ops.deployer.reconcile import Look, Outcome
from spatialreward.ops.deployer.status import Status

SERVED = 'spatialreward_deployer_served_version{model="spatial-reward"}'


class Deployer:
    """What answers HTTP of a deployer, and nothing else of it."""

    def __init__(self):
        self.metrics = Metrics("spatial-reward")
        self.status = Status()
        self.port = None

    def looked(self, *look):
        for part in (self.status, self.metrics):
            part.looked(Look(*look))

    def ask(self, path, **request):
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, **request), timeout=30) as got:
                return got.status, got.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def deployer():
    made = Deployer()
    with serving("127.0.0.1", 0, made.status, made.metrics.registry) as made.port:
        yield made


def test_health_readiness_and_metrics(deployer):
    assert deployer.ask("/healthz") == (200, "ok\n")
    assert deployer.ask("/readyz")[0] == 503
    deployer.looked(Outcome.DEPLOYED, Served(7, "judge/7"), "models:/spatial-reward/7 is served")
    status, facts = deployer.ask("/readyz")
    assert status == 200
    assert json.loads(facts)["served_version"] == 7
    metrics = deployer.ask("/metrics")[1]
    assert 'spatialreward_deployer_reconciles_total{outcome="deployed"} 1.0' in metrics
    assert f"{SERVED} 7.0" in metrics
    deployer.looked(Outcome.ERROR, None, "tracking server http://mlflow:5000: refused")
    status, facts = deployer.ask("/readyz")
    assert status == 503
    assert "mlflow:5000" in json.loads(facts)["message"]
    # The served version stays served while the registry is away.
    assert f"{SERVED} 7.0" in deployer.ask("/metrics")[1]
    assert deployer.ask("/elsewhere")[0] == 404
    assert deployer.ask("/metrics", method="POST")[0] == 405


def test_a_silent_client_does_not_keep_others_waiting(deployer):
    with socket.create_connection(("127.0.0.1", deployer.port)):
        assert deployer.ask("/healthz")[0] == 200


def test_an_address_that_is_taken_is_named(deployer):
    taken = pytest.raises(InvalidInputError, match=f"127.0.0.1:{deployer.port}: Address already")
    with taken, serving("127.0.0.1", deployer.port, deployer.status, deployer.metrics.registry):
        pass
