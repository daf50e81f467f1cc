from pathlib import Path

import pytest

import spatialreward
from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployer.kubernetes.template import (
    asleep,
    documents_of,
    kinds_of,
    read_template,
)
from spatialreward.ops.registry import ModelVersion

from .conftest import TEMPLATE

LABEL = "spatialreward.dev/model-version"
MANIFESTS = Path(spatialreward.__file__).parents[1] / "manifests"
SHIPPED = sorted(MANIFESTS.rglob("judge-version.yaml"))
MODEL = ModelVersion("spatial-reward", 7)


def documents(path):
    return {one["kind"]: one for one in documents_of(read_template(path, "judge"), "judge", MODEL)}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(MANIFESTS)))
def test_what_is_shipped_makes_a_version(path):
    made = documents(path)
    assert {one["metadata"]["name"] for one in made.values()} == {"judge-v7"}
    assert {one["metadata"]["labels"][LABEL] for one in made.values()} == {"7"}
    assert made["Service"]["spec"]["selector"][LABEL] == "7"
    if "InferenceService" in made:
        pod = made["InferenceService"]["spec"]["predictor"]
    else:
        spec = made["Deployment"]["spec"]
        assert spec["template"]["metadata"]["labels"][LABEL] == "7"
        assert spec["selector"]["matchLabels"][LABEL] == "7"
        pod = spec["template"]["spec"]
    (fetch,) = pod["initContainers"]
    assert fetch["env"][0] == {"name": "MODEL_URI", "value": "models:/spatial-reward/7"}
    if "ScaledObject" in made:
        assert made["ScaledObject"]["spec"]["scaleTargetRef"]["name"] == "judge-v7"
    assert "$(MODEL_VERSION)" not in str(made)
    # The template itself knows no version still.
    assert documents(path) == made


def test_a_version_that_sleeps_has_no_servers_and_keeps_the_rest():
    made = documents(TEMPLATE)
    assert asleep(made["Deployment"])["spec"]["replicas"] == 0
    assert asleep(made["Service"]) == made["Service"]
    assert asleep({"kind": "InferenceService", "metadata": {}}) is None
    assert made["Deployment"]["spec"]["replicas"] == 1
    assert [kind.name for kind in kinds_of(list(made.values()))] == [
        "Deployment",
        "Service",
        "ScaledObject",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kind: [", "is not YAML"),
        ("metadata: {name: judge}", "document 1: is no Kubernetes object"),
        (
            "{apiVersion: v1, kind: Service, metadata: {name: other}}",
            "document 1: metadata.name: expected 'judge', got 'other'",
        ),
        (
            "{apiVersion: v1, kind: Service, metadata: {name: judge}}",
            "no container has the variable MODEL_URI",
        ),
    ],
)
def test_what_is_no_template_is_named(tmp_path, text, complaint):
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=f"{path}.*{complaint}"):
        read_template(path, "judge")
    with pytest.raises(InvalidInputError, match="No such file"):
        read_template(tmp_path / "no.yaml", "judge")
