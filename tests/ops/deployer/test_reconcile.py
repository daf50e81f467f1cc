import threading
import urllib.request

import pytest

from spatialreward.errors import ArtifactError
from spatialreward.ops.deployer.backends import Served
from spatialreward.ops.deployer.config import (
    DeployerConfig,
    KubernetesBackend,
    LocalBackend,
    TrialBounds,
)
from spatialreward.ops.deployer.local import LocalServing
from spatialreward.ops.deployer.loop import Deployer
from spatialreward.ops.deployer.reconcile import Outcome, Reconciler
from spatialreward.ops.deployment.errors import DeploymentError, ServerAway
from spatialreward.ops.promotion import demote
from spatialreward.ops.registry import ModelVersion, model_tags
from spatialreward.ops.tracking import TrackingError


class Place:
    """A place that serves what it is told, unless it has an error to raise."""

    def __init__(self, served=None):
        self.now = served
        self.deployed = []
        self.kept = 0
        self.error = None
        self.meanwhile = lambda: None
        """What others do while a version is tried."""
        self.tidied, self.returned = [], []

    def served(self):
        return Served(self.now, f"judge/{self.now}") if self.now else None

    def keep(self, served):
        self.kept += 1
        return False

    def tidy(self, served):
        self.tidied.append(served and served.version)

    def deploy(self, model, check, *, is_return=False):
        self.deployed.append(model.version)
        self.returned.append(is_return)
        self.meanwhile()
        check()
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
    return Reconciler(registry.name, place, attempts)


@pytest.mark.parametrize("kind", [ServerAway, ArtifactError])
def test_a_version_whose_server_or_files_are_away_each_time_is_given_up(registry, folder, kind):
    registry.promote(folder)
    place = Place()
    reconciler = follow(registry, place)
    assert reconciler.look().outcome is Outcome.DEPLOYED
    registry.promote(folder)
    place.error = kind("it is away")
    look = reconciler.look()
    assert look.outcome is Outcome.ERROR
    assert look.served.version == 1
    assert registry.champion() == 2
    assert reconciler.look().outcome is Outcome.FAILED
    assert registry.champion() == 1
    assert registry.serving(2) == "failed: it is away"
    # It was not the version: promoted again, it has all its attempts again.
    place.error = None
    registry.promote_again(ModelVersion(registry.name, 2), reason="it is back")
    assert reconciler.look().outcome is Outcome.DEPLOYED
    assert registry.serving(2) == "served"


def test_a_server_that_was_away_before_a_version_was_tried_is_not_held_against_it(
    registry, folder, tmp_path
):
    registry.promote(folder)
    away = LocalBackend(endpoint="127.0.0.1:9", repository=tmp_path, template=tmp_path)
    place = LocalServing(away, registry.name, {}, {}, TrialBounds())
    reconciler = follow(registry, place, attempts=1)
    for _ in range(2):
        look = reconciler.look()
        assert look.outcome is Outcome.ERROR
        assert "no server answers at 127.0.0.1:9" in look.message
    assert registry.champion() == 1
    assert registry.serving(1) is None


def test_a_version_that_is_demoted_while_it_is_tried_is_not_tried_further(registry, folder):
    registry.promote(folder)
    place = Place()
    reconciler = follow(registry, place)
    reconciler.look()
    registry.promote(folder)
    place.meanwhile = lambda: demote(registry.name, by="bob", reason="a mistake")
    look = reconciler.look()
    assert look.outcome is Outcome.ERROR
    assert f"models:/{registry.name}/2 is no longer champion" in look.message
    assert registry.serving(2) is None
    look = reconciler.look()
    assert (look.outcome, look.served.version) == (Outcome.UNCHANGED, 1)
    place.meanwhile = lambda: None
    registry.promote_again(ModelVersion(registry.name, 2))
    assert reconciler.look().outcome is Outcome.DEPLOYED


def test_whom_a_demotion_returns_to_need_not_agree_with_who_steps_down(registry, folder):
    place = Place()
    reconciler = follow(registry, place)
    for _ in range(2):
        registry.promote(folder)
        assert reconciler.look().outcome is Outcome.DEPLOYED
    demote(registry.name, by="bob", reason="it judges badly")
    assert reconciler.look().outcome is Outcome.DEPLOYED
    registry.promote_again(ModelVersion(registry.name, 2))
    assert reconciler.look().outcome is Outcome.DEPLOYED
    assert (place.deployed, place.returned) == ([1, 2, 1, 2], [False, False, True, False])


def test_what_is_left_of_a_version_is_put_away_when_nobody_is_champion(registry, folder):
    registry.register(folder)
    place = Place()
    assert follow(registry, place).look().outcome is Outcome.UNCHANGED
    assert place.tidied == [None]


def test_a_deployer_looks_again_and_again_and_ends_when_it_is_stopped(registry, folder):
    registry.register(folder)
    place, deployed, started = Place(), threading.Event(), threading.Event()
    place.meanwhile = deployed.set
    backend = KubernetesBackend()
    config = DeployerConfig(name=registry.name, backend=backend, port=0, reconcile_s=0.01)
    deployer = Deployer(config, place)
    running = threading.Thread(target=deployer.run, args=(started,))
    running.start()
    try:
        assert started.wait(600)
        health = f"http://127.0.0.1:{deployer.port}/healthz"
        assert urllib.request.urlopen(health, timeout=60).read() == b"ok\n"
        registry.promote(folder)
        assert deployed.wait(600)
    finally:
        deployer.stop()
        running.join()
    assert place.deployed == [2]


def test_an_alias_that_cannot_be_given_back_now_is_given_back_later(registry, folder, monkeypatch):
    registry.promote(folder)
    place = Place()
    reconciler = follow(registry, place)
    reconciler.look()
    registry.promote(folder)
    place.error = DeploymentError("these weights are broken")
    with monkeypatch.context() as patch:
        patch.setattr("spatialreward.ops.deployer.reconcile.reinstate", _away)
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


def test_without_a_registry_what_is_served_is_served_and_readiness_says_so(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    place = Place(served=1)
    config = DeployerConfig(backend=KubernetesBackend(), port=0)
    deployer = Deployer(config, place)
    look = deployer.once()
    assert look.outcome is Outcome.ERROR
    assert "http://127.0.0.1:9" in look.message
    assert look.served == Served(1, "judge/1")
    ready, facts = deployer._status.readiness()
    assert not ready
    assert facts["served_version"] == 1
    assert place.deployed == []
    assert deployer._pause_s(1) < deployer._pause_s(3) < deployer._pause_s(30) == 300
