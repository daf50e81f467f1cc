"""Whatever an object names is there, under the key, port or label by which it is named."""

import itertools
import re
import tomllib

import pytest
import typer

from manifests.cluster_secrets import OPTIONAL, PLACES
from manifests.images.catalogue import IMAGES, third_party
from manifests.site import Component, Overlay
from pipelines.placement import ENDPOINT_KEYS, ENDPOINTS, QUEUE_NAME, STORE_KEYS, STORE_SECRET
from spatialreward.cli.main import app
from spatialreward.ops.cluster.train_job import NODES, RUNTIME
from spatialreward.ops.deployer.config import DeployerConfig
from tests.manifests.cluster import (
    GPU,
    LOCAL,
    PIPELINES,
    SERVICES,
    Site,
    find,
    of_kind,
    pods,
    render,
    selects,
    whole,
)

# Between them, every object of every combination.
CHOSEN = (
    LOCAL,
    GPU,
    Site(Overlay.LOCAL, (Component.EXTERNAL_S3, Component.EXTERNAL_SECRETS)),
    Site(Overlay.GPU, tuple(Component)),
)
each_site = pytest.mark.parametrize("chosen", CHOSEN, ids=str)
FROM_OTHERS = {
    ("ServiceAccount", PIPELINES, "pipeline-runner"),
    ("ServiceAccount", "argo-rollouts", "argo-rollouts"),
}
# Edits of the user's own.
LEFT_OUT = ("configMap", "judge-edits")


@each_site
def test_images_are_ours_or_the_ones_that_are_pinned(chosen):
    known = {image.tag for image in IMAGES if image.pushed} | set(third_party().values())
    named = {c["image"] for pod in pods(whole(chosen)) for c in pod.containers}
    assert named <= known
    assert "spatialreward/serving:0.1.0" in named


@each_site
def test_secrets_and_config_maps_have_the_keys_that_pods_read(chosen):
    objects = whole(chosen)
    maps = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): set(one["data"])
        for one in of_kind(objects, "ConfigMap")
    }
    secrets = {(ns, name): set(keys) for ns, all_ in PLACES.items() for name, keys in all_.items()}
    for pod in pods(objects):
        for kind, name, key in _reads(pod):
            if (kind, name) == LEFT_OUT:
                continue
            known = maps if kind == "configMap" else secrets
            assert (pod.namespace, name) in known, f"{pod.owner}: {kind} {name}"
            assert key is None or key in known[pod.namespace, name], f"{pod.owner}: {name}/{key}"


def test_external_secrets_make_the_secrets_that_are_read():
    objects = render(Site(Overlay.GPU, (Component.EXTERNAL_SECRETS,)))
    made = {}
    for one in of_kind(objects, "ExternalSecret"):
        assert one["spec"]["target"]["name"] == one["metadata"]["name"]
        keys = tuple(entry["secretKey"] for entry in one["spec"]["data"])
        made.setdefault(one["metadata"]["namespace"], {})[one["metadata"]["name"]] = keys
    assert made == PLACES


def test_no_manifest_holds_a_secret():
    assert not [one for chosen in CHOSEN for one in of_kind(whole(chosen), "Secret")]
    assert OPTIONAL in PLACES[PIPELINES]


def test_steps_find_what_they_read_in_their_own_namespace():
    endpoints = find(render(GPU), "ConfigMap", ENDPOINTS, PIPELINES)["data"]
    assert set(endpoints) == set(ENDPOINT_KEYS)
    assert endpoints == find(render(GPU), "ConfigMap", ENDPOINTS, SERVICES)["data"]
    assert PLACES[PIPELINES][STORE_SECRET] == STORE_KEYS
    assert find(render(GPU), "LocalQueue", QUEUE_NAME, PIPELINES)


@each_site
def test_volumes_are_there_and_each_is_mounted(chosen):
    for pod in pods(whole(chosen)):
        mounts = [m["name"] for c in pod.containers for m in c.get("volumeMounts", [])]
        volumes = [volume["name"] for volume in pod.spec["volumes"]]
        assert set(mounts) == set(volumes), pod.owner
        assert len(set(volumes)) == len(volumes), pod.owner


@each_site
def test_service_accounts_and_roles_are_there(chosen):
    objects = whole(chosen)
    known = FROM_OTHERS | {
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects
    }
    for pod in pods(objects):
        account = pod.spec.get("serviceAccountName")
        assert account is None or ("ServiceAccount", pod.namespace, account) in known
    for one in of_kind(objects, "RoleBinding"):
        role = one["roleRef"]
        assert (role["kind"], one["metadata"]["namespace"], role["name"]) in known
        for subject in one["subjects"]:
            assert (subject["kind"], subject["namespace"], subject["name"]) in known


@each_site
def test_services_lead_to_ports_of_pods(chosen):
    objects = whole(chosen)
    for service in of_kind(objects, "Service"):
        found = [
            pod
            for pod in pods(objects)
            if pod.namespace == service["metadata"]["namespace"]
            and selects({"matchLabels": service["spec"]["selector"]}, pod.labels)
        ]
        assert len(found) == 1, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            # Policies speak of pods' ports, and the docs of services': they are the same.
            assert found[0].ports[port["targetPort"]] == port["port"]


@each_site
def test_probes_ask_ports_that_the_container_has(chosen):
    for pod in pods(whole(chosen)):
        for container in pod.containers:
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container.get(probe, {}).get("httpGet", {}).get("port")
                assert asked is None or asked in ports, f"{pod.owner}: {probe}"


@each_site
def test_workloads_budgets_and_monitors_select_what_they_mean(chosen):
    objects = whole(chosen)
    everybody = pods(objects)
    for one in of_kind(objects, "Deployment", "StatefulSet", "Rollout"):
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert selects(one["spec"]["selector"], labels), one["metadata"]["name"]
    for one in of_kind(objects, "PodDisruptionBudget"):
        found = [pod for pod in everybody if selects(one["spec"]["selector"], pod.labels)]
        assert {pod.labels["app.kubernetes.io/name"] for pod in found} == {one["metadata"]["name"]}
    for one in of_kind(objects, "PodMonitor"):
        (pod,) = [pod for pod in everybody if selects(one["spec"]["selector"], pod.labels)]
        assert {e["port"] for e in one["spec"]["podMetricsEndpoints"]} <= set(pod.ports)
        assert set(one["spec"]["podTargetLabels"]) <= set(pod.labels)
    for one in of_kind(objects, "ServiceMonitor"):
        (service,) = [
            service
            for service in of_kind(objects, "Service")
            if selects(one["spec"]["selector"], service["metadata"]["labels"])
        ]
        names = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in one["spec"]["endpoints"]} <= names


@each_site
def test_addresses_of_services_are_addresses_of_services(chosen):
    objects = whole(chosen)
    ports = {
        (one["metadata"]["name"], port["port"])
        for one in of_kind(objects, "Service")
        for port in one["spec"]["ports"]
    }
    # Made by Istio for the Gateway.
    ports |= {("judge-istio", 8001)} if Component.GATEWAY in chosen.components else set()
    texts = [repr(pod.spec) for pod in pods(objects)]
    texts += [repr(one["data"]) for one in of_kind(objects, "ConfigMap")]
    named = re.findall(
        r"([a-z-]+)\.spatialreward\.svc(?:\.cluster\.local)?:(\d+)", "\n".join(texts)
    )
    assert named
    assert {(name, int(port)) for name, port in named} <= ports


def test_queues_lead_to_flavours_and_the_gateway_to_the_judge():
    objects = whole(Site(Overlay.GPU, tuple(Component)))
    queue = find(objects, "LocalQueue", QUEUE_NAME, PIPELINES)
    cluster = find(objects, "ClusterQueue", queue["spec"]["clusterQueue"])
    named = {f["name"] for group in cluster["spec"]["resourceGroups"] for f in group["flavors"]}
    assert named == {one["metadata"]["name"] for one in of_kind(objects, "ResourceFlavor")}
    # Kueue takes the first flavour that fits: a workload without GPUs must not find one there.
    first = cluster["spec"]["resourceGroups"][0]["flavors"][0]["resources"]
    assert {one["name"]: one["nominalQuota"] for one in first}["nvidia.com/gpu"] == 0
    route = find(objects, "GRPCRoute", "judge")
    assert find(objects, "Gateway", route["spec"]["parentRefs"][0]["name"])
    for backend in route["spec"]["rules"][0]["backendRefs"]:
        service = find(objects, "Service", backend["name"])
        assert backend["port"] in {port["port"] for port in service["spec"]["ports"]}


def test_a_train_job_finds_the_runtime_that_it_names():
    runtime = find(render(GPU), "ClusterTrainingRuntime", RUNTIME)
    (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
    assert job["name"] == container["name"] == NODES


@each_site
def test_the_deployer_takes_its_settings(chosen):
    objects = whole(chosen)
    settings = find(objects, "ConfigMap", "deployer-settings")
    config = DeployerConfig.model_validate(tomllib.loads(settings["data"]["deployer.toml"]))
    (pod,) = [pod for pod in pods(objects) if pod.owner == "Deployment deployer"]
    assert config.port == pod.ports["http"]
    assert find(objects, "Rollout", config.backend.rollout)
    address = config.backend.address.format(namespace=config.backend.namespace)
    assert address == "judge.spatialreward.svc:8001"


@each_site
def test_our_commands_take_the_arguments_that_they_are_given(chosen):
    tried = set()
    for pod in pods(whole(chosen)):
        for container in pod.containers:
            if container.get("command", [""])[0] != "spatialreward":
                continue
            words = [*container["command"][1:], *container.get("args", [])]
            # Argo Rollouts fills in the arguments of an analysis.
            words = [re.sub(r"{{args\.[\w-]+}}", "7", word) for word in words]
            command = typer.main.get_command(app)
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            # Raises for an option that is not there, and for one that is missing.
            command.make_context(container["name"], list(words))
            tried.add(container["name"])
    assert {"check", "deployer", "fetch-model"} == tried


def _reads(pod):
    """Kind, name and key (None: all) of what a pod reads of the cluster."""
    for container in pod.containers:
        for entry in container.get("env", []):
            for kind, reference in entry.get("valueFrom", {}).items():
                if kind in ("configMapKeyRef", "secretKeyRef"):
                    yield kind.removesuffix("KeyRef"), reference["name"], reference["key"]
        for entry in container.get("envFrom", []):
            for kind, reference in entry.items():
                yield kind.removesuffix("Ref"), reference["name"], None
    for volume, kind in itertools.product(pod.spec["volumes"], ("configMap", "secret")):
        if kind in volume:
            yield kind, volume[kind].get("name") or volume[kind]["secretName"], None
