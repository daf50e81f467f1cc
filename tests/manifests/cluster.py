"""What a cluster would hold after ``kubectl apply -k``, and the pods that would run there."""

import copy
import itertools
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from manifests.site import Component, Overlay, images_component, prefixed_images, site
from pipelines.placement import STEP
from spatialreward.ops.deployer.rollout import POD_HASH, template_of
from spatialreward.ops.registry import ModelVersion

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
CRD_SCHEMAS = ROOT.parent / "shared" / "data" / "crd_schemas"
SERVICES, PIPELINES = "spatialreward", "kubeflow"

Object = dict[str, Any]


class Site(NamedTuple):
    """One way to put the parts together."""

    overlay: Overlay
    components: tuple[Component, ...] = ()

    def __str__(self) -> str:
        return "+".join([self.overlay, *self.components])


def _all_sites() -> Iterator[Site]:
    for overlay in Overlay:
        for number in range(len(Component) + 1):
            for components in itertools.combinations(Component, number):
                yield Site(overlay, components)


SITES = tuple(_all_sites())
LOCAL, GPU = Site(Overlay.LOCAL), Site(Overlay.GPU)


class Pod(NamedTuple):
    """A pod that runs sooner or later."""

    owner: str
    """Kind and name of what makes it."""
    namespace: str
    labels: dict[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Numbers of the ports that it listens at, by name."""
        return {
            port["name"]: port["containerPort"]
            for container in self.spec["containers"]
            for port in container.get("ports", [])
        }


def kustomize(folder: Path) -> list[Object]:
    """Everything that a folder's kustomization makes."""
    kubectl = Path(sys.executable).parent / "kubectl"
    made = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert "deprecated" not in made.stderr, made.stderr
    return list(yaml.load_all(made.stdout, Loader=yaml.CSafeLoader))


@cache
def _rendered(chosen: Site, registry: str) -> tuple[Object, ...]:
    with tempfile.TemporaryDirectory() as folder:
        # Kustomize refuses an absolute path, and a relative one that goes through a link.
        here = Path(os.path.realpath(folder))
        images = prefixed_images(registry) if registry else []
        text = yaml.safe_dump(site(here, chosen.overlay, chosen.components))
        (here / "kustomization.yaml").write_text(text)
        (here / "images").mkdir()
        text = yaml.safe_dump(images_component(images))
        (here / "images" / "kustomization.yaml").write_text(text)
        return tuple(kustomize(here))


def render(chosen: Site, registry: str = "") -> list[Object]:
    """Everything that a site's kustomization makes."""
    return copy.deepcopy(list(_rendered(chosen, registry)))


def served(rollout: Object, version: int = 7) -> Object:
    """A Rollout as the deployer leaves it, with pods as Argo Rollouts labels them."""
    changed = merged(rollout, template_of(ModelVersion("spatial-reward", version)))
    changed["spec"]["template"]["metadata"]["labels"][POD_HASH] = "5d4c8b7f9c"
    return changed


def merged(one: Object, changes: Object) -> Object:
    """An object after a JSON merge patch (RFC 7386)."""
    made = dict(one)
    for key, value in changes.items():
        if value is None:
            made.pop(key, None)
        elif isinstance(value, dict):
            made[key] = merged(made[key] if isinstance(made.get(key), dict) else {}, value)
        else:
            made[key] = value
    return made


def whole(chosen: Site) -> list[Object]:
    """A site with a served version of the judge, and the Job that restores a backup."""
    objects = [served(one) if one["kind"] == "Rollout" else one for one in render(chosen)]
    return [*objects, *restore()]


@cache
def _restore() -> tuple[Object, ...]:
    return tuple(kustomize(MANIFESTS / "restore"))


def restore() -> list[Object]:
    """What brings a backup back; no part of a site."""
    return copy.deepcopy(list(_restore()))


def run_script(words: list[str], folder: str) -> None:
    """Run a container's ``python .../NAME ...``, with the script of a folder of the base."""
    assert words[0] == "python"
    script = MANIFESTS / "base" / folder / Path(words[1]).name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script), *words[2:]])
        runpy.run_path(str(script))


def find(objects: Iterable[Object], kind: str, name: str, namespace: str = SERVICES) -> Object:
    """The one object of that kind and name."""
    (found,) = [
        one
        for one in objects
        if one["kind"] == kind
        and one["metadata"]["name"] == name
        and one["metadata"].get("namespace", namespace) == namespace
    ]
    return found


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """All objects of these kinds."""
    return [one for one in objects if one["kind"] in kinds]


def pods(objects: Iterable[Object]) -> list[Pod]:
    """The pods of all workloads."""
    return [pod for one in objects for pod in _pods_of(one)]


def _pods_of(one: Object) -> Iterator[Pod]:
    spec, name = one.get("spec", {}), f"{one['kind']} {one['metadata']['name']}"
    namespace = one["metadata"].get("namespace", PIPELINES)
    match one["kind"]:
        case "Deployment" | "StatefulSet" | "Job" | "Rollout":
            templates = [spec["template"]]
        case "AnalysisTemplate":
            jobs = [metric["provider"].get("job") for metric in spec["metrics"]]
            templates = [job["spec"]["template"] for job in jobs if job]
        case "CronJob":
            templates = [spec["jobTemplate"]["spec"]["template"]]
        case "ClusterTrainingRuntime":
            jobs = spec["template"]["spec"]["replicatedJobs"]
            templates = [job["template"]["spec"]["template"] for job in jobs]
        case _:
            templates = []
    for template in templates:
        labels = template["metadata"].get("labels", {})
        claims = [
            {"name": claim["metadata"]["name"], "persistentVolumeClaim": {}}
            for claim in spec.get("volumeClaimTemplates", [])
        ]
        pod = {**template["spec"], "volumes": template["spec"].get("volumes", []) + claims}
        yield Pod(name, namespace, labels, pod)


def a_step() -> Pod:
    """A step's pod, as the pipelines label it."""
    return Pod("a step", PIPELINES, {STEP: "train-judge"}, {"containers": []})


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes selects these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        match term["operator"]:
            case "Exists":
                fits = term["key"] in labels
            case "In":
                fits = labels.get(term["key"]) in term["values"]
            case other:
                raise AssertionError(f"the tests do not know the operator {other}")
        if not fits:
            return False
    return True
