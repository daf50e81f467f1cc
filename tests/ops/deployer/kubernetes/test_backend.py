import pytest

from spatialreward.ops.deployer.backends import Served
from spatialreward.ops.deployer.kubernetes.traffic import SERVED_BEFORE
from spatialreward.ops.deployment.errors import (
    DeploymentError,
    NothingKnown,
    SomebodyElseDeploys,
)
from spatialreward.ops.registry import ModelVersion

from .cluster import VERSION
from .conftest import SERVICE, TEMPLATE, Killed, MortalApi, replicas, selected
from .judge_servers import Script

WRITES = 9
"""Of a deployment: Lease, three objects, the Service, three of the version before, Lease."""


def test_versions_are_switched_without_losing_a_request_and_old_ones_put_to_sleep_or_removed(
    cluster, backend_of, deploy, asked_all_the_time, edit
):
    backend = backend_of(smoke={"one": edit}, keep=1)
    assert backend.served() is None
    assert deploy(backend, 1) == Served(1, "judge/1")
    with asked_all_the_time() as answers:
        for number in (2, 3):
            cluster.scripts[number] = Script(reward=number / 10)
            deploy(backend, number)
    assert backend.served() == Served(3, "judge/3")
    assert set(answers) <= {("judge/1", 0.5), ("judge/2", 0.2), ("judge/3", 0.3)}
    assert replicas(cluster) == {"judge-v2": 0, "judge-v3": 1}
    assert cluster.names("services") == ["judge", "judge-v2", "judge-v3"]
    paused = cluster.found("scaledobjects", "judge-v2")["metadata"]["annotations"]
    assert paused == {"autoscaling.keda.sh/paused-replicas": "0"}
    # Back to a version that sleeps.
    deploy(backend, 2)
    assert replicas(cluster) == {"judge-v2": 1, "judge-v3": 0}
    assert "annotations" not in cluster.found("scaledobjects", "judge-v2")["metadata"]


def test_the_objects_of_a_version_say_so(cluster, backend_of, deploy):
    deploy(backend_of(), 7)
    made = cluster.found("deployments", "judge-v7")
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels[VERSION] == made["spec"]["selector"]["matchLabels"][VERSION] == "7"
    (fetch,) = made["spec"]["template"]["spec"]["initContainers"]
    assert fetch["env"] == [{"name": "MODEL_URI", "value": "models:/judges/7"}]
    assert cluster.found("services", "judge-v7")["spec"]["selector"][VERSION] == "7"
    assert cluster.found("scaledobjects", "judge-v7")["spec"]["scaleTargetRef"] == {
        "name": "judge-v7"
    }
    # What the manifest says of the Service that clients ask is still there.
    stable = cluster.found("services", "judge")["spec"]
    assert stable["selector"] == SERVICE["spec"]["selector"] | {VERSION: "7"}
    assert stable["ports"] == SERVICE["spec"]["ports"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(starts=False), r"not ready after 0\.3 s: Deployment judge-v2: 0 of 1 servers"),
        (Script(crashes="broken weights"), r"CrashLoopBackOff .* \(broken weights\), 3 times"),
        (Script(fails=True), "smoke edit one: answer is not JSON"),
        (Script(reward=0.9), r"its rewards differ by 0\.400 on average"),
    ],
)
def test_a_version_that_is_no_good_answers_nobody(
    cluster, backend_of, deploy, asked_all_the_time, edit, script, reason
):
    backend = backend_of(
        smoke={"one": edit}, probes={"one": edit}, ready_timeout_s=0.3, switch_timeout_s=0.3
    )
    deploy(backend, 1)
    cluster.scripts[2] = script
    with asked_all_the_time() as answers, pytest.raises(DeploymentError, match=reason):
        deploy(backend, 2)
    assert {who for who, _ in answers} <= {"judge/1"}
    assert backend.served() == Served(1, "judge/1")
    assert replicas(cluster) == {"judge-v1": 1}
    assert 2 not in cluster.front.answered_by


def test_a_first_version_is_out_of_reach_until_it_is_good(cluster, backend_of, deploy, edit):
    backend = backend_of(smoke={"one": edit}, switch_timeout_s=0.3)
    cluster.scripts[1] = Script(fails=True)
    with pytest.raises(DeploymentError, match="smoke edit one"):
        deploy(backend, 1)
    writes = [write for write in cluster.writes if write[1] != "leases"]
    assert writes[0] == ("PATCH", "services", "judge")
    assert selected(cluster) == "none"
    assert cluster.names("deployments") == []
    assert backend.served() is None


@pytest.mark.parametrize("writes", range(WRITES))
def test_who_is_killed_before_any_write_leaves_what_the_next_one_finishes(
    cluster, backend_of, api_of, deploy, asked_all_the_time, writes
):
    deploy(backend_of(keep=1), 1)
    api = api_of(MortalApi)
    mortal = backend_of(api, keep=1)
    cluster.writes.clear()
    with asked_all_the_time(threads=1) as answers:
        api.writes_left = writes
        with pytest.raises(Killed):
            deploy(mortal, 2)
        # Its lease runs out.
        cluster.delete(("leases", "judge-deployer"))
        cluster.writes.clear()
        deploy(backend_of(keep=1), 2)
    assert len(cluster.writes) == WRITES
    assert {who for who, _ in answers} <= {"judge/1", "judge/2"}
    assert selected(cluster) == "2"
    assert replicas(cluster) == {"judge-v1": 0, "judge-v2": 1}


def test_what_a_killed_deployment_left_is_removed_when_nobody_wants_it_any_more(
    cluster, backend_of, api_of, deploy
):
    backend = backend_of()
    served = deploy(backend, 1)
    api = api_of(MortalApi)
    mortal = backend_of(api)
    api.writes_left = 3
    with pytest.raises(Killed):
        deploy(mortal, 2)
    assert "judge-v2" in cluster.names("deployments")
    cluster.delete(("leases", "judge-deployer"))
    backend.tidy(served)
    assert cluster.names("deployments") == ["judge-v1"]
    assert cluster.names("services") == ["judge", "judge-v1"]


def test_what_a_first_deployment_left_is_removed_when_nobody_wants_it_any_more(
    cluster, backend_of, api_of, deploy
):
    api = api_of(MortalApi)
    mortal = backend_of(api)
    api.writes_left = 4
    with pytest.raises(Killed):
        deploy(mortal, 1)
    assert cluster.names("deployments") == ["judge-v1"]
    backend_of().tidy(None)
    assert cluster.names("deployments") == []


@pytest.mark.parametrize(("old", "selects"), [(1, "1"), (None, "none")])
def test_a_version_that_stops_to_answer_when_it_has_all_requests_loses_them(
    cluster, backend_of, deploy, monkeypatch, old, selects
):
    backend = backend_of(switch_timeout_s=0.3)
    if old is not None:
        deploy(backend, old)
    answers = cluster.ask_whom
    monkeypatch.setattr(
        cluster, "ask_whom", lambda: None if selected(cluster) == "2" else answers()
    )
    with pytest.raises(DeploymentError, match="version 2 after the switch: ") as caught:
        deploy(backend, 2)
    assert not isinstance(caught.value, NothingKnown)
    assert selected(cluster) == selects
    assert cluster.names("deployments") == ([f"judge-v{old}"] if old else [])
    # It was never served, so it takes the place of none that was.
    history = cluster.found("services", "judge")["metadata"]["annotations"][SERVED_BEFORE]
    assert history == (str(old) if old else "")


def test_the_version_that_was_left_keeps_its_servers_while_connections_end(
    cluster, backend_of, deploy
):
    patient = backend_of(drain_s=3600)
    deploy(patient, 1)
    served = deploy(patient, 2)
    assert replicas(cluster) == {"judge-v1": 1, "judge-v2": 1}
    backend_of(drain_s=0).tidy(served)
    assert replicas(cluster) == {"judge-v1": 0, "judge-v2": 1}


def test_a_template_that_somebody_broke_says_nothing_of_a_version(
    cluster, backend_of, deploy, tmp_path
):
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE.read_text())
    backend = backend_of(template=template)
    template.write_text("kind: [")
    with pytest.raises(NothingKnown, match=r"template\.yaml: is not YAML"):
        deploy(backend, 1)


def test_what_somebody_removed_is_brought_back(cluster, backend_of, deploy):
    backend = backend_of()
    served = deploy(backend, 1)
    assert not backend.keep(served)
    cluster.delete(("deployments", "judge-v1"))
    assert backend.keep(served)
    assert replicas(cluster) == {"judge-v1": 1}


def test_a_served_version_that_is_not_back_at_once_is_not_waited_for(cluster, backend_of, deploy):
    backend = backend_of(ready_timeout_s=3600)
    served = deploy(backend, 1)
    cluster.delete(("deployments", "judge-v1"))
    cluster.scripts[1].starts = False
    with pytest.raises(DeploymentError, match=r"does not answer: .*0 of 1 servers") as told:
        backend.keep(served)
    # Another one may be served in its place.
    assert not isinstance(told.value, NothingKnown)
    cluster.scripts[1].starts = True
    assert backend.keep(served)


def test_a_selector_that_was_written_over_is_put_right(cluster, backend_of, deploy):
    backend = backend_of()
    for number in (1, 2):
        deploy(backend, number)
    del cluster.found("services", "judge")["spec"]["selector"][VERSION]
    served = backend.served()
    assert served == Served(2, "judge/2")
    assert not backend.keep(served)
    assert selected(cluster) == "2"
    annotations = cluster.found("services", "judge")["metadata"]["annotations"]
    assert annotations[SERVED_BEFORE] == "2,1"


def test_two_deployers_take_turns(cluster, backend_of):
    first, second = backend_of(), backend_of()
    with first.turn() as mine, second.turn() as theirs:
        assert (mine, theirs) == (True, False)
    with second.turn() as mine:
        assert mine
        lease = cluster.found("leases", "judge-deployer")
        lease["spec"]["renewTime"] = "2026-01-01T00:00:00.000000Z"
        with first.turn() as theirs:
            assert theirs


def test_who_has_lost_its_lease_changes_nothing_more(cluster, backend_of):
    slow = backend_of(lease_s=1e-6)
    with slow.turn() as mine:
        assert mine
        with pytest.raises(SomebodyElseDeploys, match="lease judge-deployer was lost"):
            slow.deploy(ModelVersion("judges", 1), lambda: None)
    assert cluster.names("deployments") == []


def test_errors_of_the_cluster_say_nothing_of_the_version_and_refusals_do(
    cluster, backend_of, api_of, deploy
):
    backend = backend_of()
    where = ("deployments", "judge-v1")
    for status, kind in ((403, NothingKnown), (503, NothingKnown), (422, DeploymentError)):
        cluster.refusals[where] = (status, "because")
        with pytest.raises(kind, match="Deployment judge-v1: because") as caught:
            deploy(backend, 1)
        assert isinstance(caught.value, NothingKnown) == (kind is NothingKnown)
    cluster.delete(("services", "judge"))
    with pytest.raises(NothingKnown, match="Service judge: is not in namespace judging"):
        backend.served()
    away = backend_of(api_of(url="http://127.0.0.1:9"))
    with pytest.raises(NothingKnown, match="the cluster's API does not answer"):
        away.served()
