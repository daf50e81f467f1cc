"""A deployer beside an API that stores objects, with Argo Rollouts played by the tests.

Every look is another ``ClusterServing``, as after a kill: all that is known is in the cluster.
"""

import pytest
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.ops.cluster.api import ClusterError, ClusterUnavailable
from spatialreward.ops.deployer.backends import Progress, Served
from spatialreward.ops.deployer.cluster import ClusterServing
from spatialreward.ops.deployer.config import KubernetesBackend
from spatialreward.ops.deployer.reconcile import Outcome, Reconciler
from spatialreward.ops.deployer.rollout import AT_ONCE, POD_HASH, SERVED
from spatialreward.ops.deployment.errors import (
    DeploymentError,
    NothingKnown,
    ServerAway,
    TrialFailed,
    TrialInconclusive,
)
from spatialreward.ops.promotion import demote
from spatialreward.ops.registry import ModelVersion
from tests.ops.cluster.api_server import api_server

from .judge_servers import serving
from .rollouts import Argo, metric

PICTURE = Image.new("RGB", (8, 8), "white")
SMOKE = {"one": Edit(PICTURE, PICTURE, "add a circle")}
NO_SERVER = "127.0.0.1:9"


@pytest.fixture
def argo(tmp_path, monkeypatch):
    with api_server(tmp_path, Argo()) as (state, config):
        monkeypatch.setattr(
            "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(config)
        )
        yield state


def at(address=NO_SERVER, name="judges"):
    """Another deployer's backend."""
    config = KubernetesBackend(namespace="judging", address=address)
    return ClusterServing(config, name, SMOKE)


def deploy(version, address=NO_SERVER, **more):
    return at(address).deploy(ModelVersion("judges", version), lambda: None, **more)


def serve(argo, version):
    """Have a version served."""
    deploy(version)
    argo.promote()
    with serving(version) as judge:
        assert deploy(version, judge.address) == Served(version, f"judge/{version}")
    argo.patches.clear()


def test_a_first_version_takes_all_requests_and_has_to_judge_the_smoke_edits(argo):
    assert at().served() is None
    assert deploy(1) == Progress("its pods are started")
    assert argo.version == "1"
    pods = argo.rollout["spec"]["template"]["metadata"]
    assert pods["annotations"] == {"spatialreward.dev/model": "models:/judges/1"}
    assert deploy(1) == Progress("Argo Rollouts has not seen it yet")
    argo.see()
    assert deploy(1) == Progress("it takes all requests as soon as it is ready")
    assert argo.patches[-1] == {"status": {"promoteFull": True}}
    assert deploy(1) == Progress("progressing: more replicas")
    argo.promote()
    with pytest.raises(ServerAway):
        deploy(1)
    with serving(1) as judge:
        assert deploy(1, judge.address) == Served(1, "judge/1")
        assert judge.asked == len(SMOKE)
    assert at().served() == Served(1, "judge/1")
    assert argo.rollout["metadata"]["annotations"] == {SERVED: "1"}


def test_a_first_version_that_fails_is_scaled_to_none_until_another_comes(argo):
    deploy(1)
    argo.promote()
    with (
        serving(1, fails=True) as judge,
        pytest.raises(DeploymentError, match="judge/1: smoke edit one: answer is not JSON"),
    ):
        deploy(1, judge.address)
    assert (argo.version, argo.rollout["spec"]["replicas"]) == (None, 0)
    assert at().served() is None
    deploy(2)
    assert (argo.version, argo.rollout["spec"]["replicas"]) == ("2", 1)


def test_a_later_version_is_left_to_argo_rollouts_until_it_is_promoted(argo):
    serve(argo, 1)
    assert deploy(2) == Progress("its pods are started")
    argo.see()
    argo.pause("CanaryPauseStep")
    assert deploy(2) == Progress("paused: CanaryPauseStep")
    assert at().served() == Served(1, "judge/1")
    assert [list(patch) for patch in argo.patches] == [["metadata", "spec"]]
    argo.promote()
    # Another version answers at the address: requests have not come to it.
    with serving(1) as judge, pytest.raises(DeploymentError, match=r"judged by judge/1"):
        deploy(2, judge.address)
    assert argo.version == "1"
    deploy(2)
    argo.promote()
    with serving(2) as judge:
        assert deploy(2, judge.address) == Served(2, "judge/2")


@pytest.mark.parametrize(
    ("phase", "results", "kind", "reason"),
    [
        (
            "Failed",
            [metric("failed-edits", "Failed", "[0.312]"), metric("request-time", "Successful")],
            TrialFailed,
            "version 2: at 25 % of the requests: 31.2% more of its edits failed than of the "
            "served version's",
        ),
        (
            "Failed",
            [metric("failed-edits", "Inconclusive", "[]"), metric("request-time", "Failed", "[3]")],
            TrialFailed,
            "too few requests came to tell (failed-edits); a request takes 3.00 times as long as "
            "with the served version",
        ),
        (
            "Inconclusive",
            [metric("request-time", "Inconclusive", "[]")],
            TrialInconclusive,
            "version 2: inconclusive: at 25 % of the requests: too few requests came to tell "
            "(request-time)",
        ),
        (
            "Error",
            [metric("failed-edits", "Error") | {"message": "prometheus: no such host"}],
            TrialInconclusive,
            "inconclusive: at 25 % of the requests: failed-edits error: prometheus: no such host",
        ),
        ("Failed", [metric("other", "Failed", "[7]")], TrialFailed, "other failed: 7"),
        ("Failed", [], TrialFailed, "RolloutAborted: Rollout aborted update to revision 2"),
    ],
)
def test_an_analysis_says_why_in_words_and_the_version_before_comes_back(
    argo, phase, results, kind, reason
):
    serve(argo, 1)
    deploy(2)
    argo.see()
    # An earlier attempt at the same version said something else.
    argo.analyse("Failed", metric("old", "Failed", "[1]"), at="2026-11-24T12:00:00Z")
    argo.analyse(phase, *results, step=2)
    argo.pause() if phase == "Inconclusive" else argo.abort()
    with pytest.raises(kind) as caught:
        deploy(2)
    assert reason in str(caught.value)
    assert argo.version == "1"
    argo.see()
    at().tidy(at().served())
    assert AT_ONCE not in argo.rollout["metadata"]["annotations"]
    assert argo.status["phase"] == "Healthy"


@pytest.mark.parametrize(
    ("status", "kind"), [(1, TrialFailed), (3, TrialInconclusive)], ids=["no good", "cannot tell"]
)
def test_the_check_says_why_in_the_last_words_of_its_pod(argo, status, kind):
    serve(argo, 1)
    deploy(2)
    argo.see()
    said = "12:00:01 asking\nerror: its rewards differ by 0.400 on average\n"
    ended = {"exitCode": status, "reason": "Error", "message": said}
    labels = {"batch.kubernetes.io/job-name": "uid.check.1"}
    argo.pod("uid.check.1-x", labels, state={"terminated": ended})
    argo.analyse("Failed", metric("check", "Failed", job="uid.check.1"))
    argo.abort()
    with pytest.raises(kind, match=r"version 2: .*its rewards differ by 0\.400 on average$"):
        deploy(2)


def test_a_container_that_ends_again_and_again_is_not_waited_for(argo):
    serve(argo, 1)
    deploy(2)
    argo.see()
    said = {"exitCode": 1, "reason": "Error", "message": "error: models:/judges/2: checksum"}
    for restarts in (2, 3):
        argo.pod(
            "judge-x",
            {POD_HASH: "hash2"},
            restartCount=restarts,
            state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}},
            lastState={"terminated": said},
        )
        if restarts == 2:
            assert deploy(2) == Progress("progressing: more replicas")
    with pytest.raises(TrialFailed) as caught:
        deploy(2)
    expected = "judge-x, check: CrashLoopBackOff: models:/judges/2: checksum, 3 times"
    assert str(caught.value) == f"version 2: {expected}"
    assert argo.version == "1"


def test_a_version_that_was_served_before_takes_all_requests_at_once(argo):
    serve(argo, 1)
    serve(argo, 2)
    deploy(1, is_return=True)
    argo.see()
    # An analysis began before the deployer's second look, and came out badly.
    argo.abort()
    assert deploy(1, is_return=True) == Progress("it takes all requests as soon as it is ready")
    argo.promote()
    argo.status.pop("abort")
    with serving(1) as judge:
        assert deploy(1, judge.address, is_return=True) == Served(1, "judge/1")
        assert judge.asked == len(SMOKE)


def test_a_template_that_was_edited_or_left_is_put_right(argo):
    serve(argo, 1)
    at().tidy(at().served())
    assert argo.patches == []
    template = argo.rollout["spec"]["template"]["metadata"]
    template["annotations"]["spatialreward.dev/model"] = "models:/judges/9"
    at().tidy(at().served())
    assert argo.rollout["spec"]["template"]["metadata"]["annotations"] == {
        "spatialreward.dev/model": "models:/judges/1"
    }
    # No version is champion any more, and a first attempt was under way.
    del argo.rollout["metadata"]["annotations"][SERVED]
    at().tidy(None)
    assert argo.rollout["spec"]["replicas"] == 0


def test_pods_are_looked_after_by_argo_rollouts(argo):
    serve(argo, 1)
    served = at().served()
    assert at().keep(served) is False
    argo.status.update(availableReplicas=0, phase="Progressing", message="none is ready")
    with pytest.raises(DeploymentError, match=r"version 1 does not answer.*none is ready") as told:
        at().keep(served)
    # Another version may be served in its place.
    assert not isinstance(told.value, NothingKnown)


def test_what_is_wrong_with_the_cluster_says_nothing_of_a_version(argo):
    argo.refusal = (403, "deployer cannot patch rollouts")
    with pytest.raises(ClusterError, match="Rollout judging/judge: status 403, deployer cannot"):
        deploy(1)
    argo.refusal = None
    deploy(1)
    argo.see()
    argo.status.update(phase="Degraded", message="InvalidSpec: no service judge")
    with pytest.raises(NothingKnown, match="Rollout judge: InvalidSpec: no service judge"):
        deploy(1)
    assert argo.version == "1"
    argo.rollout = None
    with pytest.raises(NothingKnown, match="Rollout judge: is not in namespace judging, apply"):
        at().served()
    argo.failing = [503]
    with pytest.raises(ClusterUnavailable):
        at().served()


def test_a_version_that_fails_gives_the_alias_back_with_the_reason(argo, registry, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "weights.bin").write_bytes(b"weights")

    def look(address=NO_SERVER):
        return Reconciler(registry.name, at(address, registry.name), attempts=3).look()

    def comes_to_be_served(version):
        look()
        argo.promote()
        with serving(version) as judge:
            assert look(judge.address).outcome is Outcome.DEPLOYED
        assert registry.serving(version) == "served"

    registry.promote(tmp_path / "checkpoint")
    comes_to_be_served(1)
    second = registry.promote(tmp_path / "checkpoint")
    assert look().outcome is Outcome.PROGRESSING
    argo.see()
    argo.analyse("Inconclusive", metric("request-time", "Inconclusive"), step=2)
    argo.pause()
    assert look().outcome is Outcome.FAILED
    assert registry.champion() == 1
    assert registry.serving(2).startswith("failed: version 2: inconclusive: at 25 % of the req")
    # Promoted again it is tried again, and what was said of it before counts no more.
    argo.see()
    registry.promote_again(second)
    argo.runs.clear()
    comes_to_be_served(2)
    assert registry.serving(1) == "retired"
    # It steps down: the version before returns without an analysis.
    demote(registry.name, by="bob", reason="it judges badly")
    look()
    argo.see()
    assert "it takes all requests" in look().message
    argo.promote()
    with serving(1) as judge:
        assert look(judge.address).outcome is Outcome.DEPLOYED
    assert (registry.serving(1), registry.serving(2)) == ("served", "retired")
