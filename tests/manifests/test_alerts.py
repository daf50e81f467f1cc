import json
import re
import shutil

import yaml
from prometheus_client import generate_latest

from manifests.site import Component, Overlay
from spatialreward.ops.deployer.metrics import Metrics
from spatialreward.serving.metrics import METRICS, PREFIX
from tests.manifests.cluster import (
    GPU,
    LOCAL,
    ROOT,
    Site,
    find,
    of_kind,
    render,
)
from tests.manifests.promtool import needs_promtool, promtool

GATEWAY = Site(Overlay.LOCAL, (Component.GATEWAY,))
UNIT_TESTS = ROOT / "tests" / "manifests" / "alerts.yaml"
# kube-state-metrics and the kubelet.
OTHERS = {
    "kube_cronjob_status_last_successful_time",
    "kube_deployment_status_replicas_available",
    "kube_pod_status_ready",
    "kube_statefulset_status_replicas_ready",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
}


def groups():
    return [g for one in of_kind(render(LOCAL), "PrometheusRule") for g in one["spec"]["groups"]]


def rules():
    return [rule for group in groups() for rule in group["rules"]]


def our_metrics():
    """Names of the series that a judge and a deployer show."""
    shown = generate_latest(Metrics("spatial-reward").registry).decode()
    deployer = set(re.findall(r"^(spatialreward_\w+?)(?:_created)?(?:\{| )", shown, re.MULTILINE))
    return {PREFIX + name for name in METRICS} | deployer


def _named(expression):
    bare = re.sub(r'"[^"]*"', "", expression)
    return set(re.findall(r"\b(?:spatialreward|kube|kubelet|nv)_\w+\b(?!=)", bare))


@needs_promtool
def test_rules_fire_when_they_should_and_not_before(tmp_path):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}))
    shutil.copy(UNIT_TESTS, tmp_path)
    promtool(tmp_path, "check", "rules", "rules.yaml")
    promtool(tmp_path, "test", "rules", "alerts.yaml")


def test_every_rule_has_a_test_in_which_it_fires():
    tested = yaml.safe_load(UNIT_TESTS.read_text())["tests"]
    checks = [check for one in tested for check in one["alert_rule_test"]]
    fire = {check["alertname"] for check in checks if check.get("exp_alerts")}
    quiet = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    assert fire == quiet == {rule["alert"] for rule in rules()}


def test_rules_look_at_metrics_that_are_there():
    for rule in rules():
        assert _named(rule["expr"]) <= our_metrics() | OTHERS, rule["alert"]
        assert _named(rule["expr"]), rule["alert"]


def test_scaling_and_analyses_look_at_metrics_that_are_there():
    triggers = find(render(GPU), "ScaledObject", "judge")["spec"]["triggers"]
    queries = [trigger["metadata"]["query"] for trigger in triggers]
    assert all(_named(query) <= our_metrics() for query in queries)
    objects = render(GATEWAY)
    metrics = find(objects, "AnalysisTemplate", "judge-traffic")["spec"]["metrics"]
    for metric in metrics:
        query = metric["provider"]["prometheus"]["query"]
        assert _named(query) - {"nv_inference_request_failure"} <= our_metrics()
        # The label that the PodMonitor takes from the pods.
        (monitor,) = of_kind(objects, "PodMonitor")
        labels = {re.sub(r"\W", "_", one) for one in monitor["spec"]["podTargetLabels"]}
        assert set(re.findall(r"(rollouts_\w+)=", query)) <= labels


def test_rules_name_workloads_that_are_there():
    objects = render(LOCAL)
    for kind, label in (
        ("Deployment", "deployment"),
        ("StatefulSet", "statefulset"),
        ("CronJob", "cronjob"),
    ):
        named = {
            name
            for rule in rules()
            for name in re.findall(rf'[{{ ]{label}="([^"]+)"', rule["expr"])
        }
        assert named
        assert named <= {one["metadata"]["name"] for one in of_kind(objects, kind)}


def test_every_rule_says_how_bad_it_is_and_what_to_do():
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "description"} == rule["annotations"].keys()


def test_the_dashboards_are_the_ones_that_are_kept_with_what_they_show():
    shown = find(render(LOCAL), "ConfigMap", "spatialreward-dashboards")
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"
    folder = ROOT / "serving" / "dashboards"
    assert set(shown["data"]) == {file.name for file in folder.glob("*.json")}
    for name, text in shown["data"].items():
        assert text == (folder / name).read_text()
        named = _named(json.dumps(json.loads(text)).replace('\\"', "'"))
        assert {one for one in named if one.startswith(PREFIX)} <= our_metrics()
