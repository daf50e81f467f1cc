"""The Rollout of the judge: what overlays change in it, and that what it names exists."""

import json
import re
import subprocess

import pytest

from manifests.site import Component, Overlay
from spatialreward.ops.deployer.rollout import AT_ONCE, MODEL, SERVED, VERSION_LABEL
from spatialreward.stack import StackConfig
from spatialreward.stack.triton import _describe, _server_environment
from tests.manifests.cluster import GPU, LOCAL, Site, find, pods, render, served

GATEWAY = Site(Overlay.LOCAL, (Component.GATEWAY,))
each_strategy = pytest.mark.parametrize("chosen", [LOCAL, GATEWAY], ids=str)


def rollout_of(chosen):
    return find(render(chosen), "Rollout", "judge")


@pytest.mark.parametrize("chosen", [GPU, GATEWAY], ids=str)
def test_a_site_says_where_its_images_are(chosen):
    objects = render(chosen, registry="registry.test/team")
    images = {container["image"] for pod in pods(objects) for container in pod.containers}
    ours = {image for image in images if "spatialreward/" in image}
    assert "registry.test/team/spatialreward/serving:0.1.0" in ours
    assert all(image.startswith("registry.test/team/spatialreward/") for image in ours)
    judge = {pod.owner: pod.containers[0]["image"] for pod in pods(objects)}
    deploys = "registry.test/team/spatialreward/reward-deployment:0.1.0"
    assert judge["Rollout judge"] == judge["AnalysisTemplate judge-check"] == deploys


@pytest.mark.parametrize("chosen", [LOCAL, GPU], ids=str)
def test_a_server_that_has_unloaded_its_model_gets_no_requests_and_is_started_again(chosen):
    (triton,) = rollout_of(chosen)["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert triton[probe]["httpGet"]["path"] == "/v2/models/judge/ready"


def test_the_pods_fetch_the_version_that_the_deployer_writes():
    before, after = rollout_of(LOCAL), served(rollout_of(LOCAL), version=7)
    assert after["spec"]["template"]["metadata"]["annotations"] == {
        MODEL: "models:/spatial-reward/7"
    }
    assert after["metadata"]["labels"][VERSION_LABEL] == "7"
    (fetch,) = after["spec"]["template"]["spec"]["initContainers"]
    (variable,) = fetch["env"]
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == f"metadata.annotations['{MODEL}']"
    assert fetch["args"][:2] == ["--model", f"$({variable['name']})"]
    # Applying the manifest again leaves what it does not mention.
    text = json.dumps(before["metadata"]) + json.dumps(before["spec"]["template"]["metadata"])
    assert not [name for name in (VERSION_LABEL, MODEL, SERVED, AT_ONCE) if name in text]
    assert "replicas" not in before["spec"]


def test_the_gpu_overlay_changes_sizes_and_nothing_else():
    assert _differences(rollout_of(LOCAL), rollout_of(GPU)) == {
        "/spec/template/spec/tolerations",
        "/spec/template/spec/initContainers/0/resources/requests/cpu",
        "/spec/template/spec/initContainers/0/resources/requests/memory",
        "/spec/template/spec/initContainers/0/resources/limits/cpu",
        "/spec/template/spec/initContainers/0/resources/limits/memory",
        "/spec/template/spec/containers/0/resources/requests/cpu",
        "/spec/template/spec/containers/0/resources/requests/memory",
        "/spec/template/spec/containers/0/resources/requests/nvidia.com/gpu",
        "/spec/template/spec/containers/0/resources/limits/cpu",
        "/spec/template/spec/containers/0/resources/limits/memory",
        "/spec/template/spec/containers/0/resources/limits/nvidia.com/gpu",
        "/spec/template/spec/volumes/3/emptyDir/sizeLimit",
    }


def test_the_gateway_changes_the_strategy_and_nothing_else():
    found = _differences(rollout_of(LOCAL), rollout_of(GATEWAY))
    assert found == {"/spec/strategy/blueGreen", "/spec/strategy/canary"}


@each_strategy
def test_analyses_and_services_that_a_rollout_names_are_there(chosen):
    objects = render(chosen)
    (strategy,) = find(objects, "Rollout", "judge")["spec"]["strategy"].values()
    services = {value for key, value in strategy.items() if key.endswith("Service")}
    assert services == {"judge", "judge-canary"}
    assert all(find(objects, "Service", service) for service in services)
    steps = [one["analysis"] for one in strategy.get("steps", []) if "analysis" in one]
    analyses = [*steps, *([strategy["prePromotionAnalysis"]] if not steps else [])]
    named = {template["templateName"] for one in analyses for template in one["templates"]}
    assert named == {"judge-check"} | ({"judge-traffic"} if steps else set())
    for one in analyses:
        (used,) = one["templates"]
        spec = find(objects, "AnalysisTemplate", used["templateName"])["spec"]
        needed = {argument["name"] for argument in spec["args"] if "value" not in argument}
        assert needed == {argument["name"] for argument in one["args"]}
        known = {argument["name"] for argument in spec["args"]}
        assert set(re.findall(r"\{\{args\.([a-z-]+)\}\}", json.dumps(spec["metrics"]))) <= known


def test_a_version_gets_no_request_before_it_is_checked():
    canary = rollout_of(GATEWAY)["spec"]["strategy"]["canary"]
    names = [next(iter(step)) for step in canary["steps"]]
    assert names.index("analysis") < names.index("setWeight", 1)
    assert canary["steps"][0] == {"setWeight": 0}
    weights = [step["setWeight"] for step in canary["steps"] if "setWeight" in step]
    assert weights == [0, 5, 25, 50]
    route = find(render(GATEWAY), "GRPCRoute", "judge")
    plugin = canary["trafficRouting"]["plugins"]["argoproj-labs/gatewayAPI"]
    assert plugin["grpcRoutes"] == [{"name": route["metadata"]["name"]}]
    (rule,) = route["spec"]["rules"]
    services = {backend["name"] for backend in rule["backendRefs"]}
    assert services == {canary["stableService"], canary["canaryService"]}


def test_the_rollout_is_scaled():
    scaled = find(render(GPU), "ScaledObject", "judge")["spec"]
    assert scaled["scaleTargetRef"] == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": "judge",
    }
    assert scaled["fallback"]["replicas"] >= scaled["minReplicaCount"]


def test_the_deployer_may_do_what_it_does_and_nothing_else():
    rules = find(render(LOCAL), "Role", "deployer")["rules"]
    granted = {
        (resource, verb, *rule.get("resourceNames", []))
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == {
        ("rollouts", "get", "judge"),
        ("rollouts", "patch", "judge"),
        ("rollouts/status", "patch", "judge"),
        ("analysisruns", "list"),
        ("pods", "list"),
    }


def test_triton_knows_every_option_that_it_is_given():
    python = StackConfig().triton_python.absolute()
    environment = _describe(python)
    said = subprocess.run(
        [environment.server / "bin" / "tritonserver", "--help"],
        capture_output=True,
        text=True,
        env=_server_environment(environment, python),
    )
    (triton,) = rollout_of(LOCAL)["spec"]["template"]["spec"]["containers"]
    options = [argument.partition("=")[0] for argument in triton["args"]]
    help_text = said.stdout + said.stderr
    assert [option for option in options if f"{option} <" not in help_text] == []


def _differences(one, other, path="") -> set[str]:
    """Paths at which two structures differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        pairs = {key: (one.get(key), other.get(key)) for key in keys}
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = dict(enumerate(zip(one, other, strict=True)))
    else:
        return set() if json.dumps(one) == json.dumps(other) else {path}
    return set().union(*(_differences(a, b, f"{path}/{key}") for key, (a, b) in pairs.items()))
