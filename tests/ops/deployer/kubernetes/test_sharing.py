"""A version gets copies of requests, then a share of them, and what becomes of it decides."""

import itertools

import pytest

from spatialreward.ops.deployment.errors import (
    DeploymentError,
    NothingKnown,
    ServerAway,
    TrialInconclusive,
)
from spatialreward.ops.registry import ModelVersion

from .conftest import ROUTE, replicas, selected
from .judge_servers import Script


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
            "max_latency_ratio": 1e9,
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
        (Script(delay_s=0.3), r"at 50 % of the requests: a request takes \d+\.\d+ s"),
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


def test_a_version_that_is_asked_too_little_gives_its_share_back(cluster, backend_of, deploy):
    cluster.by_hand(ROUTE)
    canary = {"weights": (50,), "step_s": 0.05, "extra_s": 0.2, "look_every_s": 0.05}
    backend = backend_of(route="judge", canary=canary)
    deploy(backend, 1)
    told = (
        r"version 2 at 50 % of the requests: inconclusive after \d+ s: "
        r"it answered 0 requests, version 1 0; 5 of each are needed"
    )
    with pytest.raises(TrialInconclusive, match=told):
        deploy(backend, 2)
    assert cluster.rules[-1] == ROUTE["spec"]["rules"][0]
    assert selected(cluster) == "1"
    assert replicas(cluster) == {"judge-v1": 1}


def test_a_version_whose_servers_tell_nothing_gets_no_share(cluster, backend_of, deploy):
    cluster.by_hand(ROUTE)
    backend = backend_of(route="judge", canary={"weights": (50,), "step_s": 3600})
    deploy(backend, 1)
    cluster.scripts[2] = Script(counts=False)
    told = r"version 2 at 50 % of the requests: none of its servers tells its metrics"
    with pytest.raises(ServerAway, match=told):
        deploy(backend, 2)
    assert cluster.rules[-1] == ROUTE["spec"]["rules"][0]
    assert selected(cluster) == "1"


def test_a_version_that_nobody_wants_any_more_is_not_tried_further(cluster, backend_of, deploy):
    cluster.by_hand(ROUTE)
    canary = {"weights": (50,), "step_s": 3600}
    backend = backend_of(route="judge", canary=canary, ready_timeout_s=3600)
    served = deploy(backend, 1)

    def nobody():
        raise NothingKnown("somebody else is champion")

    cluster.scripts[2] = Script(starts=False)
    with pytest.raises(NothingKnown, match="somebody else"):
        deploy(backend, 2, nobody)
    cluster.scripts[3] = Script()
    with pytest.raises(NothingKnown, match="somebody else"):
        deploy(backend, 3, lambda: nobody() if len(cluster.rules[-1]["backendRefs"]) > 1 else None)
    assert cluster.rules[-1] == ROUTE["spec"]["rules"][0]
    assert selected(cluster) == "1"
    backend.tidy(served)
    assert cluster.names("deployments") == ["judge-v1"]


def test_a_return_is_not_compared_with_who_is_left_and_gets_all_requests_at_once(
    cluster, backend_of, edit
):
    cluster.by_hand(ROUTE)
    cluster.scripts[2] = Script(reward=0.9)
    backend = backend_of(probes={"one": edit}, route="judge", canary={"step_s": 3600})
    with backend.turn():
        for number in (2, 1):
            backend.deploy(ModelVersion("judges", number), lambda: None, is_return=True)
    assert selected(cluster) == "1"
    assert all(rule == ROUTE["spec"]["rules"][0] for rule in cluster.rules)
