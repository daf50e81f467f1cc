"""The objects of a judge version: three templates that differ where they may, and their images."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from manifests.site import Component, Overlay
from spatialreward.ops.deployer.kubernetes.template import read_template
from spatialreward.stack import StackConfig
from spatialreward.stack.triton import _describe, _server_environment
from tests.manifests.cluster import GPU, LOCAL, MANIFESTS, Site, find, judge_version, pods, render

CPU_FILE = MANIFESTS / "base" / "judge" / "judge-version.yaml"
GPU_FILE = MANIFESTS / "overlays" / "gpu" / "judge-version.yaml"
KSERVE_FILE = MANIFESTS / "components" / "kserve" / "judge-version.yaml"
FILES = (CPU_FILE, GPU_FILE, KSERVE_FILE)
KSERVE = Site(Overlay.GPU, (Component.KSERVE,))
SITES = {CPU_FILE: LOCAL, GPU_FILE: GPU, KSERVE_FILE: KSERVE}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_deployer_reads_it_as_it_lies_in_the_config_map(file):
    template = find(render(SITES[file]), "ConfigMap", "judge-version-template")["data"]
    assert template["judge-version.yaml"] == file.read_text()
    assert read_template(file, "judge")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_a_site_says_where_its_images_are(file):
    (pod,) = pods(judge_version(render(SITES[file], registry="registry.test/team")))
    assert [container["image"] for container in pod.containers] == [
        "registry.test/team/spatialreward/reward-deployment:0.1.0",
        "registry.test/team/spatialreward/serving:0.1.0",
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_a_server_that_has_unloaded_its_model_gets_no_requests_and_is_started_again(file):
    (pod,) = pods(judge_version(render(SITES[file])))
    (triton,) = (one for one in pod.containers if one["name"] in ("triton", "kserve-container"))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert triton[probe]["httpGet"]["path"] == "/v2/models/judge/ready"


def test_a_site_says_so_for_everything_that_runs():
    objects = render(GPU, registry="registry.test/team")
    images = {container["image"] for pod in pods(objects) for container in pod.containers}
    ours = {image for image in images if "spatialreward/" in image}
    assert len(ours) == 3
    assert all(image.startswith("registry.test/team/spatialreward/") for image in ours)


def test_the_gpu_version_differs_from_the_plain_one_where_it_may():
    plain, gpu = (_only(yaml.safe_load_all(file.read_text()), "Deployment") for file in FILES[:2])
    assert _differences(plain, gpu) == {
        "/spec/replicas",
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


def test_kserve_runs_the_pod_that_runs_without_it():
    gpu = _only(yaml.safe_load_all(GPU_FILE.read_text()), "Deployment")["spec"]["template"]["spec"]
    service = _only(yaml.safe_load_all(KSERVE_FILE.read_text()), "InferenceService")
    predictor = service["spec"]["predictor"]
    assert _differences(gpu, {key: predictor[key] for key in gpu}) == {"/containers/0/name"}
    assert service["metadata"]["labels"]["spatialreward.dev/live"] == "true"


def test_versions_are_scaled_by_the_deployment_that_is_theirs():
    scaled = _only(judge_version(render(GPU), version=12), "ScaledObject")
    assert scaled["spec"]["scaleTargetRef"]["name"] == "judge-v12"
    assert scaled["spec"]["fallback"]["replicas"] >= scaled["spec"]["minReplicaCount"]


def test_triton_knows_every_option_that_it_is_given():
    python = StackConfig().triton_python.absolute()
    environment = _describe(python)
    said = subprocess.run(
        [environment.server / "bin" / "tritonserver", "--help"],
        capture_output=True,
        text=True,
        env=_server_environment(environment, python),
    )
    assert _unknown_options(CPU_FILE, said.stdout + said.stderr) == []


def _unknown_options(file: Path, help_text: str) -> list[str]:
    (container,) = _only(yaml.safe_load_all(file.read_text()), "Deployment")["spec"]["template"][
        "spec"
    ]["containers"]
    options = [argument.partition("=")[0] for argument in container["args"]]
    return [option for option in options if f"{option} <" not in help_text]


def _only(documents, kind):
    (found,) = [one for one in documents if one["kind"] == kind]
    return found


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
