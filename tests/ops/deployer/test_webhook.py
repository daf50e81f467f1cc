import http.client
import json
import socket
import threading
import time

import pytest

from spatialreward.ops.deployer.backends import Served
from spatialreward.ops.deployer.config import DeployerConfig, KubernetesBackend, Webhook
from spatialreward.ops.deployer.http import Answering, serving
from spatialreward.ops.deployer.metrics import Metrics
from spatialreward.ops.deployer.reconcile import Look, Outcome
from spatialreward.ops.deployer.status import Status
from spatialreward.ops.deployer.webhook import sign

MOVED = {
    "entity": "model_version_alias",
    "action": "created",
    "timestamp": "2026-11-25T12:00:00+00:00",
    "data": {"name": "spatial-reward", "alias": "champion", "version": "7"},
}


class Deployer:
    """What answers HTTP of a deployer, and nothing else of it."""

    def __init__(self, secret):
        config = DeployerConfig(
            backend=KubernetesBackend(template="unused"),
            host="127.0.0.1",
            port=0,
            webhook=Webhook(max_bytes=1000),
        )
        self.metrics = Metrics(config.name)
        self.status = Status()
        self.wake = threading.Event()
        self.what = Answering(config, secret, self.status, self.metrics, self.wake)
        self.port = None

    def ask(self, method, path, body=b"", headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        told = answer.read().decode()
        connection.close()
        return answer.status, told

    def call(self, event=MOVED, body=None, **change):
        """A webhook as MLflow sends it, with a change to its headers."""
        body = json.dumps(event).encode() if body is None else body
        timestamp = change.get("X-MLflow-Timestamp", str(int(time.time())))
        headers = {
            "Content-Type": "application/json",
            "X-MLflow-Delivery-Id": "one",
            "X-MLflow-Timestamp": timestamp,
            "X-MLflow-Signature": sign("hush", "one", timestamp, body),
        } | change
        kept = {name: value for name, value in headers.items() if value is not None}
        return self.ask("POST", "/webhook", body, kept)

    def counted(self, series):
        for line in self.metrics.text().decode().splitlines():
            if line.startswith(series + " "):
                return float(line.rpartition(" ")[2])
        return None


@pytest.fixture
def deployer(request):
    made = Deployer(getattr(request, "param", "hush"))
    with serving(made.what) as made.port:
        yield made


def test_a_signed_webhook_about_whom_we_follow_wakes_the_deployer(deployer):
    assert deployer.call() == (202, "seen\n")
    assert deployer.wake.is_set()
    assert deployer.counted('spatialreward_deployer_webhooks_total{outcome="accepted"}') == 1


@pytest.mark.parametrize(
    "change", [{"data": MOVED["data"] | {"alias": "candidate"}}, {"action": "tagged"}]
)
def test_a_webhook_about_something_else_is_seen_and_ignored(deployer, change):
    assert deployer.call(MOVED | change) == (202, "seen\n")
    assert not deployer.wake.is_set()
    assert deployer.counted('spatialreward_deployer_webhooks_total{outcome="ignored"}') == 1


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"X-MLflow-Signature": None}, 401, "no X-MLflow-Signature"),
        ({"X-MLflow-Signature": sign("guess", "one", "1", b"")}, 401, "the signature is wrong"),
        ({"X-MLflow-Delivery-Id": "two"}, 401, "the signature is wrong"),
        ({"X-MLflow-Timestamp": "1000"}, 401, "too old"),
        ({"X-MLflow-Timestamp": "soon"}, 400, "is no time"),
        ({"body": b"{}"}, 400, "no webhook of MLflow"),
        ({"body": b"[" * 900}, 400, "no webhook of MLflow"),
        ({"body": b"x" * 1001}, 413, "more than 1000 bytes"),
        ({"Content-Length": "many"}, 411, "Content-Length is missing"),
    ],
)
def test_what_is_not_genuine_is_refused(deployer, change, status, reason):
    told = deployer.call(**change)
    assert told[0] == status
    assert reason in told[1]
    assert not deployer.wake.is_set()
    assert deployer.counted('spatialreward_deployer_webhooks_total{outcome="refused"}') == 1


@pytest.mark.parametrize("deployer", [""], indirect=True)
def test_without_a_secret_nobody_wakes_it(deployer):
    assert deployer.call()[0] == 403


def test_health_readiness_and_metrics(deployer):
    assert deployer.ask("GET", "/healthz") == (200, "ok\n")
    assert deployer.ask("GET", "/readyz")[0] == 503
    look = Look(Outcome.DEPLOYED, Served(7, "judge/7"), "models:/spatial-reward/7 is served")
    deployer.status.looked(look)
    deployer.metrics.looked(look)
    status, told = deployer.ask("GET", "/readyz")
    assert status == 200
    assert json.loads(told)["served_version"] == 7
    status, told = deployer.ask("GET", "/metrics")
    assert 'spatialreward_deployer_reconciles_total{outcome="deployed"} 1.0' in told
    assert 'spatialreward_deployer_served_version{model="spatial-reward"} 7.0' in told
    away = Look(Outcome.ERROR, None, "tracking server http://mlflow:5000: refused")
    deployer.status.looked(away)
    deployer.metrics.looked(away)
    status, told = deployer.ask("GET", "/readyz")
    assert status == 503
    assert "mlflow:5000" in json.loads(told)["message"]
    # What is served is served, whoever is away.
    assert deployer.counted('spatialreward_deployer_served_version{model="spatial-reward"}') == 7
    assert deployer.ask("GET", "/elsewhere")[0] == 404
    assert deployer.ask("POST", "/elsewhere")[0] == 404


def test_who_says_nothing_keeps_nobody_else_from_being_heard(deployer):
    with socket.create_connection(("127.0.0.1", deployer.port)):
        assert deployer.call()[0] == 202


def test_a_body_that_ends_early_is_no_webhook(deployer):
    with socket.create_connection(("127.0.0.1", deployer.port)) as connection:
        connection.sendall(b"POST /webhook HTTP/1.1\r\nContent-Length: 100\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"
