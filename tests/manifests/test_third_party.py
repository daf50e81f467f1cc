"""What others' manifests are pinned to. They cannot be fetched here: this is about the pins."""

import re

import pytest
import yaml

from tests.manifests.cluster import MANIFESTS, ROOT

PINS = {
    "pipelines": ("kubeflow/pipelines", r"\d+\.\d+\.\d+"),
    "pipelines/cluster": ("kubeflow/pipelines", r"\d+\.\d+\.\d+"),
    "trainer": ("kubeflow/trainer", r"v\d+\.\d+\.\d+"),
    "kueue": ("kubernetes-sigs/kueue", r"v\d+\.\d+\.\d+"),
    "rollouts": ("argoproj/argo-rollouts", r"v\d+\.\d+\.\d+"),
}


def pinned(folder):
    """The one remote resource of a folder, and its version."""
    text = (MANIFESTS / "third-party" / folder / "kustomization.yaml").read_text()
    resources = yaml.safe_load(text)["resources"]
    (resource,) = [one for one in resources if one.startswith("https://")]
    repository, version = PINS[folder]
    by_ref = rf"https://github\.com/{repository}//[a-z/-]+\?ref=({version})"
    by_file = rf"https://github\.com/{repository}/releases/download/({version})/manifests\.yaml"
    found = re.fullmatch(by_ref, resource) or re.fullmatch(by_file, resource)
    assert found, resource
    return found[1], text


def test_every_folder_is_known():
    found = (MANIFESTS / "third-party").rglob("kustomization.yaml")
    assert {str(f.parent.relative_to(MANIFESTS / "third-party")) for f in found} == set(PINS)


@pytest.mark.parametrize("folder", PINS)
def test_a_pin_is_an_exact_release_and_the_docs_name_it(folder):
    version, text = pinned(folder)
    assert version in text.partition("apiVersion")[0]
    docs = (ROOT / "docs" / "cluster.md").read_text()
    assert re.search(rf"\b{re.escape(version)}\b", docs)


def test_both_parts_of_kubeflow_pipelines_are_of_one_release_and_fit_the_client():
    version, _ = pinned("pipelines")
    assert version == pinned("pipelines/cluster")[0]
    client = re.search(r"^kfp==(\d+\.\d+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert version.startswith(client[1] + ".")


def test_argo_rollouts_runs_the_release_and_the_plugin_that_are_pinned():
    version, text = pinned("rollouts")
    (image,) = yaml.safe_load(text)["images"]
    assert image["newTag"] == version
    (plugin,) = set(
        re.findall(r"plugin-trafficrouter-gatewayapi/releases/download/(v[\d.]+)/", text)
    )
    docs = (ROOT / "docs" / "cluster.md").read_text()
    assert re.search(rf"\b{re.escape(plugin)}\b", docs)
