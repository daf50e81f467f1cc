"""The queries with which a version's share of the requests is analysed."""

import pytest

from manifests.site import Component, Overlay
from tests.manifests.cluster import Site, find, render
from tests.manifests.promtool import check_queries, needs_promtool

GATEWAY = Site(Overlay.LOCAL, (Component.GATEWAY,))
HASHES = {"served": "aaa", "tried": "bbb"}
NEVER, FEW, MANY = "0x20", "0+1x20", "0+60x20"
"""Counts a minute: the queries look at 10 minutes, so 10 are few and 600 are many."""


@pytest.fixture(scope="module")
def template():
    return find(render(GATEWAY), "AnalysisTemplate", "judge-traffic")["spec"]


@pytest.fixture(scope="module")
def queries(template):
    """Both, as Argo Rollouts fills them in."""
    values = HASHES | {one["name"]: one["value"] for one in template["args"] if "value" in one}
    made = {}
    for metric in template["metrics"]:
        query = metric["provider"]["prometheus"]["query"]
        for name, value in values.items():
            query = query.replace("{{args." + name + "}}", value)
        made[metric["name"]] = query
    return made


def counts(which, ok=NEVER, failed=NEVER, broken=NEVER, seconds=NEVER):
    """Series of one pod of a version; a request has one edit."""
    labels = f'namespace="spatialreward", model="judge", rollouts_pod_template_hash="{which}"'
    return {
        f'spatialreward_edits_total{{{labels}, pod="{which}-1", status="ok"}}': ok,
        f'spatialreward_edits_total{{{labels}, pod="{which}-1", status="failed"}}': failed,
        f'nv_inference_request_failure{{{labels}, pod="{which}-1", reason="OTHER"}}': broken,
        f'spatialreward_requests_total{{{labels}, pod="{which}-1"}}': ok,
        f'spatialreward_request_seconds_total{{{labels}, pod="{which}-1"}}': seconds,
    }


@needs_promtool
@pytest.mark.parametrize(
    ("served", "tried", "failed", "time"),
    [
        # As good: no share more, and the same time.
        ({"ok": MANY, "seconds": "0+30x20"}, {"ok": MANY, "seconds": "0+30x20"}, 0, 1),
        # Half of its edits fail, of the served version's a quarter; it takes three times as long.
        (
            {"ok": MANY, "failed": "0+20x20", "seconds": "0+30x20"},
            {"ok": MANY, "failed": MANY, "seconds": "0+90x20"},
            0.25,
            3,
        ),
        # Its model has died: Triton fails requests that the judge does not count.
        ({"ok": MANY, "seconds": "0+30x20"}, {"broken": MANY}, 1, None),
        # Too few requests of either version say nothing of the time.
        ({"ok": MANY, "seconds": "0+30x20"}, {"ok": FEW, "seconds": FEW}, None, None),
        ({"ok": FEW, "seconds": FEW}, {"ok": MANY, "seconds": "0+30x20"}, 0, None),
    ],
)
def test_a_version_is_compared_with_the_served_one(tmp_path, queries, served, tried, failed, time):
    series = counts(HASHES["served"], **served) | counts(HASHES["tried"], **tried)
    # Another namespace's version of the same hash, and pods of no version, are others.
    series |= {name.replace('spatialreward",', 'other",'): MANY for name in list(series)[:1]}
    check_queries(
        tmp_path, series, [(queries["failed-edits"], failed), (queries["request-time"], time)]
    )


@needs_promtool
def test_nothing_at_all_is_no_value(tmp_path, queries):
    check_queries(tmp_path, {}, [(query, None) for query in queries.values()])


def test_no_value_is_inconclusive_and_a_step_passes_on_evidence_only(template):
    for metric in template["metrics"]:
        name = metric["name"]
        passes, fails = metric["successCondition"], metric["failureCondition"]
        # Neither holds without a value, which Argo Rollouts calls inconclusive.
        assert passes.startswith("len(result) == 1 && "), name
        assert fails.startswith("len(result) == 1 && "), name
        assert passes.replace("<=", ">") == fails
        # Without four passes in a row the last look ends inconclusively, and one failure at once.
        assert metric["inconclusiveLimit"] >= metric["count"] > metric["consecutiveSuccessLimit"]
        assert "failureLimit" not in metric
