import json
from functools import cache

import jsonschema
import kubernetes_validate
import pytest

from manifests.site import Component, Overlay
from tests.manifests.cluster import (
    CRD_SCHEMAS,
    GPU,
    LOCAL,
    MANIFESTS,
    SITES,
    Site,
    find,
    kustomize,
    of_kind,
    render,
    whole,
)

KUBERNETES = ("1.34", "1.37")
CORE = {
    "v1",
    "apps/v1",
    "batch/v1",
    "networking.k8s.io/v1",
    "policy/v1",
    "rbac.authorization.k8s.io/v1",
}
EVERYTHING = tuple(Component)


def test_the_base_renders_by_itself():
    assert of_kind(kustomize(MANIFESTS / "base"), "Namespace")


@pytest.mark.parametrize("chosen", SITES, ids=str)
def test_every_combination_renders_and_names_nothing_twice(chosen):
    objects = render(chosen)
    names = [
        (one["apiVersion"], one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
        for one in objects
    ]
    assert len(set(names)) == len(names)
    assert all(
        one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "spatialreward"
        for one in objects
        if one["kind"] != "Namespace"
    )


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("overlay", Overlay)
def test_core_objects_are_what_kubernetes_takes(overlay, version):
    objects = whole(Site(overlay))
    if overlay is Overlay.GPU:
        objects += render(Site(overlay, EVERYTHING))
    core = {json.dumps(one) for one in objects if one["apiVersion"] in CORE}
    assert len(core) > 40
    for text in core:
        kubernetes_validate.validate(json.loads(text), version, strict=True)


def test_a_wrong_field_would_be_found():
    service = find(render(LOCAL), "Service", "judge")
    service["spec"]["selectors"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="selectors"):
        kubernetes_validate.validate(service, KUBERNETES[0], strict=True)


@pytest.mark.skipif(
    not CRD_SCHEMAS.is_dir(), reason="the schemas of custom resources (crd_schemas) are not here"
)
@pytest.mark.parametrize("chosen", [LOCAL, GPU, Site(Overlay.GPU, EVERYTHING)], ids=str)
def test_custom_resources_are_what_their_operators_publish(chosen):
    custom = [one for one in whole(chosen) if one["apiVersion"] not in CORE]
    assert custom
    for one in custom:
        _validator(one["apiVersion"], one["kind"]).validate(one)


@pytest.mark.skipif(
    not CRD_SCHEMAS.is_dir(), reason="the schemas of custom resources (crd_schemas) are not here"
)
def test_a_wrong_field_of_a_custom_resource_would_be_found():
    scaled = find(render(GPU), "ScaledObject", "judge")
    scaled["spec"]["maxReplicas"] = 8
    with pytest.raises(jsonschema.ValidationError, match="maxReplicas"):
        _validator(scaled["apiVersion"], scaled["kind"]).validate(scaled)


def test_the_overlays_change_sizes_and_nothing_else_of_the_services():
    local, gpu = ({_key(one): one for one in render(chosen)} for chosen in (LOCAL, GPU))
    assert local.keys() <= gpu.keys()
    assert {kind for kind, _, name in gpu.keys() - local.keys()} == {
        "ClusterQueue",
        "ClusterTrainingRuntime",
        "LocalQueue",
        "ResourceFlavor",
        "ScaledObject",
        "WorkloadPriorityClass",
    }
    differing = {key[0::2] for key in local if local[key] != gpu[key]}
    assert differing == {
        ("Deployment", "mlflow"),
        ("PodDisruptionBudget", "object-store"),
        ("PodDisruptionBudget", "postgres"),
        ("ResourceQuota", "services"),
        ("ResourceQuota", "spatialreward-pipelines"),
        ("Rollout", "judge"),
        ("StatefulSet", "object-store"),
        ("StatefulSet", "postgres"),
    }


def test_a_job_makes_room_for_one_with_newer_images():
    """Kubernetes does not change one that is there."""
    jobs = of_kind(whole(LOCAL), "Job")
    assert {one["metadata"]["name"] for one in jobs} == {"buckets", "postgres-restore"}
    assert all(one["spec"]["ttlSecondsAfterFinished"] > 0 for one in jobs)


def test_an_external_store_leaves_nothing_of_seaweedfs():
    objects = render(Site(Overlay.LOCAL, (Component.EXTERNAL_S3,)))
    assert not [one for one in objects if one["metadata"]["name"].startswith("object-store")]
    for namespace in ("spatialreward", "kubeflow"):
        endpoints = find(objects, "ConfigMap", "spatialreward-endpoints", namespace)["data"]
        assert "object-store" not in json.dumps(endpoints)


def _key(one):
    return one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]


@cache
def _validator(api_version, kind):
    group, version = api_version.split("/")
    schema = json.loads((CRD_SCHEMAS / f"{group}_{version}_{kind}.json").read_text())
    # The schema itself is not checked: it has patterns that only Go reads.
    return jsonschema.Draft7Validator(schema)
