from contextlib import contextmanager

import pytest

from spatialreward.deployer.backends import Served
from spatialreward.deployer.config import DeployerConfig, KubernetesBackend
from spatialreward.deployer.loop import Deployer
from spatialreward.deployer.reconcile import Outcome, Reconciler
from spatialreward.deployment.errors import DeploymentError, ServerAway
from spatialreward.registry import CHAMPION, ModelVersion, model_tags
from spatialreward.tracking import TrackingError


class Place:
    """A place that serves what it is told, unless it has an error to raise."""

    def __init__(self, served=None):
        self.now = served
        self.deployed = []
        self.kept = 0
        self.error = None
        self.mine = True

    @contextmanager
    def turn(self):
        yield self.mine

    def served(self):
        return Served(self.now, f"judge/{self.now}") if self.now else None

    def keep(self, served, *, wait=True):
        self.kept += 1
        return False

    def tidy(self, served):
        pass

    def deploy(self, model):
        self.deployed.append(model.version)
        if self.error:
            raise self.error
        self.now = model.version
        return self.served()


@pytest.fixture
def folder(tmp_path):
    """A checkpoint; a new one for each version."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "weights.bin").write_bytes(b"weights")
    return tmp_path / "checkpoint"


def follow(registry, place, attempts=2):
    return Reconciler(registry.name, CHAMPION, place, attempts)


def test_a_version_whose_server_goes_away_each_time_is_given_up(registry, folder):
    registry.promote(folder)
    place = Place()
    reconciler = follow(registry, place)
    assert reconciler.look().outcome is Outcome.DEPLOYED
    registry.promote(folder)
    place.error = ServerAway("no server answers at triton:8001")
    look = reconciler.look()
    assert look.outcome is Outcome.ERROR
    assert look.served.version == 1
    assert registry.champion() == 2
    assert reconciler.look().outcome is Outcome.FAILED
    assert registry.champion() == 1
    assert registry.serving(2) == "failed: no server answers at triton:8001"
    # It was the server: promoted again, it has all its attempts again.
    place.error = None
    registry.promote_again(ModelVersion(registry.name, 2), reason="the server was moved")
    assert reconciler.look().outcome is Outcome.DEPLOYED
    assert registry.serving(2) == "served"


def test_an_alias_that_cannot_be_given_back_now_is_given_back_later(registry, folder, monkeypatch):
    registry.promote(folder)
    place = Place()
    reconciler = follow(registry, place)
    reconciler.look()
    registry.promote(folder)
    place.error = DeploymentError("these weights are broken")
    with monkeypatch.context() as patch:
        patch.setattr("spatialreward.deployer.reconcile.reinstate", _away)
        look = reconciler.look()
    assert look.outcome is Outcome.ERROR
    assert "these weights are broken" in look.message
    assert "could not be given back: the server is away" in look.message
    assert reconciler.look().outcome is Outcome.FAILED
    assert registry.champion() == 1
    # It was not tried a second time for that.
    assert place.deployed == [1, 2]


def _away(*_):
    raise TrackingError("the server is away")


def test_what_a_killed_deployer_did_not_say_any_more_is_said(registry, folder):
    registry.promote(folder)
    reconciler = follow(registry, Place(served=1))
    assert reconciler.look().outcome is Outcome.UNCHANGED
    told = model_tags(f"models:/{registry.name}/1")
    assert (told["serving"], told["served_as"]) == ("served", "judge/1")


def test_whose_turn_it_is_not_waits(registry, folder):
    registry.promote(folder)
    place = Place()
    place.mine = False
    look = follow(registry, place).look()
    assert look.outcome is Outcome.UNCHANGED
    assert "another deployer is at work" in look.message
    assert place.deployed == []


def test_without_a_registry_what_is_served_is_served_and_readiness_says_so(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    place = Place(served=1)
    config = DeployerConfig(backend=KubernetesBackend(template="unused"), port=0)
    deployer = Deployer(config, place)
    look = deployer.once()
    assert look.outcome is Outcome.ERROR
    assert "http://127.0.0.1:9" in look.message
    assert look.served == Served(1, "judge/1")
    ready, told = deployer._status.told()
    assert not ready
    assert told["served_version"] == 1
    assert place.deployed == []
    assert deployer._pause_s(1) < deployer._pause_s(3) < deployer._pause_s(30) == 300
