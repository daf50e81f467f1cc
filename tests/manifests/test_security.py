import json
import shutil
import subprocess

import pytest

from manifests.site import Component, Overlay
from tests.manifests.cluster import GPU, LOCAL, ROOT, SERVICES, Site, of_kind, pods, render, whole

CHECKOV = ROOT / ".venv-lint" / "bin" / "checkov"
EVERYTHING = Site(Overlay.GPU, tuple(Component))
each_site = pytest.mark.parametrize("chosen", [LOCAL, GPU, EVERYTHING], ids=str)
# Who talks to the cluster's API.
WITH_TOKEN = {"Deployment deployer"}
FREE_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected"}


@each_site
def test_every_pod_meets_pod_security_restricted(chosen):
    for pod in pods(whole(chosen)):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys(), pod.owner
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True, pod.owner
        assert context["runAsUser"] > 0, pod.owner
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, pod.owner
        for volume in pod.spec["volumes"]:
            assert set(volume) - {"name"} <= FREE_VOLUMES, pod.owner
        for container in pod.containers:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, pod.owner
            assert own["capabilities"] == {"drop": ["ALL"]}, pod.owner
            assert not {"privileged", "procMount", "runAsUser", "runAsNonRoot"} & own.keys()
            assert not [port for port in container.get("ports", []) if "hostPort" in port]


@each_site
def test_root_file_systems_are_read_only_and_folders_beside_them_limited(chosen):
    for pod in pods(whole(chosen)):
        assert all(c["securityContext"]["readOnlyRootFilesystem"] is True for c in pod.containers)
        mounted = {m["mountPath"] for c in pod.spec["containers"] for m in c["volumeMounts"]}
        assert "/tmp" in mounted, pod.owner
        # How much a training needs is the TrainJob's to know.
        if not pod.owner.startswith("ClusterTrainingRuntime"):
            folders = [v["emptyDir"] for v in pod.spec["volumes"] if "emptyDir" in v]
            assert all("sizeLimit" in folder for folder in folders), pod.owner


@each_site
def test_a_token_is_there_for_who_asks_the_cluster_and_for_nobody_else(chosen):
    objects = whole(chosen)
    told = {pod.owner for pod in pods(objects) if pod.spec["automountServiceAccountToken"]}
    assert told == WITH_TOKEN
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@each_site
def test_containers_say_what_they_need_and_services_how_to_ask_them(chosen):
    for pod in pods(whole(chosen)):
        if pod.owner.startswith("ClusterTrainingRuntime"):
            continue
        for container in pod.containers:
            for word in ("requests", "limits"):
                assert {"cpu", "memory"} <= container["resources"][word].keys(), pod.owner
        if "Job" not in pod.owner and not pod.owner.startswith("AnalysisTemplate"):
            (container,) = pod.spec["containers"]
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()


def test_a_judge_is_ready_when_its_model_is():
    for chosen in (LOCAL, GPU, EVERYTHING):
        (pod,) = [p for p in pods(whole(chosen)) if "fetch-model" in repr(p.spec)]
        (triton,) = pod.spec["containers"]
        for probe in ("startupProbe", "readinessProbe"):
            assert triton[probe]["httpGet"]["path"] == "/v2/models/judge/ready"


@each_site
def test_roles_grant_nothing_by_wildcard_nor_more_than_was_meant(chosen):
    objects = render(chosen)
    roles = of_kind(objects, "Role")
    granted = {
        (resource, verb)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    for role in roles:
        for rule in role["rules"]:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
    resources, verbs = ({grant[place] for grant in granted} for place in (0, 1))
    assert not resources & {"secrets", "configmaps", "roles", "rolebindings", "pods/exec"}
    assert not verbs & {"escalate", "bind", "impersonate"}
    assert not of_kind(objects, "ClusterRole", "ClusterRoleBinding")


def test_the_namespace_enforces_pod_security_restricted():
    (namespace,) = of_kind(render(LOCAL), "Namespace")
    assert namespace["metadata"]["name"] == SERVICES
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.skipif(
    not CHECKOV.exists(), reason="checkov is not here: `make lint-manifests` sets up .venv-lint"
)
@each_site
def test_checkov_finds_nothing_that_is_not_justified(chosen, tmp_path):
    for number, one in enumerate(whole(chosen)):
        if one["kind"] == "Rollout":
            # checkov knows Deployments: the pods are the same.
            spec = {key: value for key, value in one["spec"].items() if key != "strategy"}
            one = {**one, "apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}
        (tmp_path / f"{number}.json").write_text(json.dumps(one))
    shutil.copy(ROOT / "manifests" / "checkov.yaml", tmp_path / ".checkov.yaml")
    options = ["--directory", tmp_path, "--config-file", tmp_path / ".checkov.yaml"]
    done = subprocess.run([CHECKOV, *options], capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    failed = [
        f"{one['check_id']} {one['check_name']}: {one['resource']}"
        for one in report["results"]["failed_checks"]
    ]
    assert report["summary"]["passed"] > 500, done.stderr
    assert failed == []
