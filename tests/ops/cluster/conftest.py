import pytest

from spatialreward.ops.cluster.api import Cluster
from tests.ops.cluster.api_server import api_server


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Kubernetes API that the environment points to."""
    with api_server(tmp_path) as (state, config):
        monkeypatch.setenv("KUBECONFIG", str(config))
        monkeypatch.setattr(
            "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(config)
        )
        yield state


@pytest.fixture
def cluster(server):
    return Cluster.from_environment()
