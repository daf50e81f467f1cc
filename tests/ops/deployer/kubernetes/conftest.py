import threading
from contextlib import contextmanager
from pathlib import Path

import kubernetes.client
import pytest
from PIL import Image

from spatialreward.client import TritonJudge
from spatialreward.edits import Edit
from spatialreward.ops.deployer.config import Canary, KubernetesBackend, TrialBounds
from spatialreward.ops.deployer.kubernetes.api import Api
from spatialreward.ops.deployer.kubernetes.backend import ClusterServing
from spatialreward.ops.registry import ModelVersion

from .api_server import NAMESPACE
from .cluster import VERSION, Cluster

TEMPLATE = Path(__file__).parent / "judge-version.yaml"
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "judge", "labels": {"app.kubernetes.io/name": "judge"}},
    "spec": {
        "selector": {"app.kubernetes.io/name": "judge", "spatialreward.dev/live": "true"},
        "ports": [{"name": "grpc", "port": 8001}],
    },
}
ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GRPCRoute",
    "metadata": {"name": "judge"},
    "spec": {
        "parentRefs": [{"name": "judge"}],
        "rules": [{"backendRefs": [{"name": "judge", "port": 8001}]}],
    },
}
# Time says nothing here: what else the machine does would decide.
BOUNDS = TrialBounds(latency_slack_s=3600)
# Nothing here waits for a cluster: what it does, it does at once. A lease outlives every test.
QUICK = {
    "poll_s": 0.05,
    "switch_timeout_s": 2.0,
    "ready_timeout_s": 2.0,
    "drain_s": 0.0,
    "lease_s": 600,
}


def selected(cluster):
    """What the Service that clients ask selects."""
    return cluster.found("services", "judge")["spec"]["selector"].get(VERSION)


def replicas(cluster):
    """Servers that each version is to have."""
    return {
        name: cluster.found("deployments", name)["spec"]["replicas"]
        for name in cluster.names("deployments")
    }


@pytest.fixture
def cluster():
    made = Cluster()
    made.by_hand(SERVICE)
    yield made
    made.stop()


@pytest.fixture
def edit():
    picture = Image.new("RGB", (8, 8), "white")
    return Edit(picture, picture, "add a circle")


class Killed(BaseException):
    """What a process does not survive."""


class MortalApi(Api):
    """An API whose caller is killed before a certain write, and asks nothing any more after it."""

    writes_left = None
    is_dead = False

    def _ask(self, method, *arguments, **more):
        if self.writes_left is not None and method != "GET":
            self.is_dead = self.is_dead or not self.writes_left
            self.writes_left -= 1
        if self.is_dead:
            raise Killed
        return super()._ask(method, *arguments, **more)


@pytest.fixture
def api_of(cluster):
    """Makes clients of the cluster's API, of a class of the test's choice."""

    def make(kind=Api, url=cluster.url):
        settings = kubernetes.client.Configuration(host=url)
        settings.retries = False
        return kind(kubernetes.client.ApiClient(settings), NAMESPACE)

    return make


@pytest.fixture
def backend_of(cluster, api_of):
    """Makes the deployer's side of the cluster."""

    def make(api=None, smoke=None, probes=None, bounds=BOUNDS, **options):
        canary, name = options.pop("canary", {}), options.pop("name", "judges")
        config = KubernetesBackend(
            namespace=NAMESPACE,
            template=options.pop("template", TEMPLATE),
            version_address=cluster.version_address,
            stable_address=cluster.front.address,
            metrics_address=cluster.url + "/metrics/{ip}",
            canary=Canary(**{"step_s": 0.5, "look_every_s": 0.1, "min_requests": 5} | canary),
            **QUICK | options,
        )
        return ClusterServing(config, name, smoke or {}, probes or {}, bounds, api or api_of())

    return make


@pytest.fixture
def deploy():
    """Deploys a version as a deployer does whose turn it is, and tidies up as at its next look."""

    def deploy(backend, number, check=lambda: None):
        with backend.turn() as mine:
            assert mine
            served = backend.deploy(ModelVersion("judges", number), check)
            backend.tidy(served)
            return served

    return deploy


@pytest.fixture
def asked_all_the_time(cluster, edit):
    """Asks at the stable address for the length of a block; yields who answered what."""

    @contextmanager
    def asking(threads=2):
        over = threading.Event()
        answers, errors = [], []

        def ask():
            with TritonJudge(cluster.front.address) as judge:
                while not over.is_set():
                    try:
                        (judgement,) = judge.judge([edit])
                    except Exception as error:
                        errors.append(error)
                    else:
                        answers.append((judgement.judged_by, judgement.reward))

        asking = [threading.Thread(target=ask) for _ in range(threads)]
        for thread in asking:
            thread.start()
        try:
            yield answers
        finally:
            over.set()
            for thread in asking:
                thread.join()
        assert errors == []

    return asking
