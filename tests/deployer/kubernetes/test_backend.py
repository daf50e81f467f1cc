import itertools

import pytest

from spatialreward.deployer.backends import Served
from spatialreward.deployment.errors import DeploymentError, NothingKnown, SomebodyElseDeploys
from spatialreward.registry import ModelVersion

from .cluster import VERSION, Script
from .conftest import ROUTE, SERVICE, TEMPLATE, Killed, MortalApi

WRITES = 9
"""Of a deployment: Lease, three objects, the Service, three of the version before, Lease."""


def selected(cluster):
    return cluster.found("services", "judge")["spec"]["selector"].get(VERSION)


def replicas(cluster):
    return {
        name: cluster.found("deployments", name)["spec"]["replicas"]
        for name in cluster.names("deployments")
    }


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


def test_a_share_of_the_requests_grows_step_by_step(
    cluster, backend_of, deploy, asked_all_the_time
):
    cluster.by_hand(ROUTE)
    backend = backend_of(
        route="judge",
        canary={
            "shadow_s": 0.2,
            "weights": (25, 50),
            "step_s": 0.2,
            "max_latency_ratio": 1000,
        },
    )
    deploy(backend, 1)
    cluster.rules.clear()
    with asked_all_the_time():
        deploy(backend, 2)
    seen = [
        (
            [(one["name"], one.get("weight")) for one in rule["backendRefs"]],
            [one["requestMirror"]["backendRef"]["name"] for one in rule.get("filters", [])],
        )
        for rule in cluster.rules
    ]
    assert [rule for rule, _ in itertools.groupby(seen)] == [
        ([("judge", None)], []),
        ([("judge-v1", None)], ["judge-v2"]),
        ([("judge-v1", 75), ("judge-v2", 25)], []),
        ([("judge-v1", 50), ("judge-v2", 50)], []),
        ([("judge", None)], []),
    ]
    assert selected(cluster) == "2"
    assert cluster.found("grpcroutes", "judge")["spec"]["parentRefs"] == [{"name": "judge"}]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(fails=True), r"at 50 % of the requests: 100\.0% of its edits failed"),
        (Script(delay_s=0.3), r"at 50 % of the requests: a request takes 0\.\d+ s"),
    ],
)
def test_a_version_that_does_badly_with_a_share_gets_none(
    cluster, backend_of, deploy, asked_all_the_time, script, reason
):
    cluster.by_hand(ROUTE)
    # It is over as soon as it was asked often enough to tell, however slow the machine is.
    canary = {"weights": (50,), "step_s": 120, "max_latency_ratio": 1.05}
    backend = backend_of(route="judge", canary=canary)
    deploy(backend, 1)
    cluster.scripts[2] = script
    with asked_all_the_time(), pytest.raises(DeploymentError, match=reason):
        deploy(backend, 2)
    assert cluster.rules[-1] == ROUTE["spec"]["rules"][0]
    assert selected(cluster) == "1"
    assert replicas(cluster) == {"judge-v1": 1}


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
            slow.deploy(ModelVersion("judges", 1))
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
