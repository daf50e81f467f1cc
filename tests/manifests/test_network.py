import re

import pytest

from manifests.site import Component, Overlay
from tests.manifests.cluster import GPU, LOCAL, PIPELINES, ROOT, SERVICES, Site, pods, whole
from tests.manifests.reachability import Party, reachable

DOCS = ROOT / "docs" / "cluster.md"
# What SeaweedFS listens at on loopback, and should a default change, must not be reached either.
INNER = {"object-store": (8080, 8888, 9333, 18080, 18333, 18888, 19333)}
STEP = {"spatialreward.dev/step": "train-judge"}
OTHERS = (
    Party("DNS", "kube-system", {"k8s-app": "kube-dns"}, (53,)),
    Party("Prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"}),
    Party("the Kubernetes API", None, {}, (443, 6443)),
    Party("the internet", None, {}, (80, 443)),
    Party("steps of pipelines", PIPELINES, STEP),
    Party(
        "Kubeflow Pipelines",
        PIPELINES,
        {"application-crd-id": "kubeflow-pipelines"},
        (3306, 8080, 8333, 8887, 8888, 9000),
    ),
    Party("a foreign pod here", SERVICES, {"app": "stranger"}, (80,)),
    Party("a foreign pod elsewhere", "elsewhere", {"app": "stranger"}),
)
GATEWAY = (
    Party("the Gateway", SERVICES, {"gateway.networking.k8s.io/gateway-name": "judge"}, (8001,)),
    Party("Istio", "istio-system", {"app": "istiod"}, (15012,)),
)
TABLES = {
    "What reaches what": (GPU, None, OTHERS),
    "external-s3": (Site(Overlay.GPU, (Component.EXTERNAL_S3,)), GPU, OTHERS),
    "gateway": (Site(Overlay.GPU, (Component.GATEWAY,)), GPU, OTHERS + GATEWAY),
}


def parties(objects, others):
    """All parties that might connect to another."""
    found = {}
    for pod in pods(objects):
        name = pod.labels.get("app.kubernetes.io/name", "nodes of a training")
        ports = tuple(pod.ports.values()) + INNER.get(name, ())
        # torch's rendezvous; NCCL takes any.
        ports += (29400,) if "spatialreward.dev/distributed" in pod.labels else ()
        found[name] = Party(name, pod.namespace, pod.labels, ports)
    return [*found.values(), *others]


def ways(chosen, others):
    """What reaches what by our doing: what strangers do elsewhere is not up to us."""
    objects = whole(chosen)
    everybody = parties(objects, others)
    ours = {party.name for party in everybody} - {party.name for party in others}
    ours |= {"steps of pipelines", "the Gateway", "a foreign pod here"}
    return {way for way in reachable(objects, everybody) if ours & set(way[:2])}


def told(heading):
    """The table under a heading of the docs, as ways; one that is gone is marked."""
    text = DOCS.read_text().partition(f"# {heading}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| ([\d, ]+) \|(?: (.*)\|)?$", text, re.MULTILINE)
    assert rows, heading
    return {
        (source.strip("- "), target, int(port), source.startswith("- "))
        for source, target, listed, _ in rows
        for port in listed.split(", ")
    }


@pytest.mark.parametrize("heading", TABLES)
def test_the_table_in_the_docs_is_what_the_policies_allow(heading):
    chosen, before, others = TABLES[heading]
    now = ways(chosen, others)
    then = ways(before, others) if before else set()
    found = {(*way, False) for way in now - then} | {(*way, True) for way in then - now}
    assert found == told(heading)


def test_the_overlays_are_open_to_the_same():
    training = "nodes of a training"
    gpu = {way for way in ways(GPU, OTHERS) if training not in way}
    assert ways(LOCAL, OTHERS) == gpu


def test_a_stranger_reaches_nothing_but_dns():
    here, elsewhere = "a foreign pod here", "a foreign pod elsewhere"
    for chosen, _, others in TABLES.values():
        reached = {way for way in ways(chosen, others) if {here, elsewhere} & {way[0]}}
        assert reached == {(here, "DNS", 53)}
        assert not {way for way in ways(chosen, others) if way[1] == here}


def test_a_policy_that_is_left_out_is_missed():
    objects = [one for one in whole(LOCAL) if one["metadata"]["name"] != "default-deny"]
    way = ("Prometheus", "a foreign pod here", 80)
    assert way in reachable(objects, parties(objects, OTHERS))
    assert way not in reachable(whole(LOCAL), parties(objects, OTHERS))
