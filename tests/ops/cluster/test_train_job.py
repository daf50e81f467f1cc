import json
from pathlib import Path

import jsonschema
import pytest
import yaml

import spatialreward
from components.reward_training.component import train_judge_on_nodes
from pipelines.images import BY_TAG
from pipelines.placement import Placement
from pipelines.profile import load_profile
from pipelines.training_nodes import nodes_of
from spatialreward.ops.cluster.train_job import (
    NODES,
    RUN_LABEL,
    RUNTIME,
    Nodes,
    job_name,
    train_job,
)

ROOT = Path(spatialreward.__file__).parents[1]
SCHEMA = ROOT.parent / "shared/data/crd_schemas/trainer.kubeflow.org_v1alpha1_TrainJob.json"
MANIFEST = ROOT / "manifests" / "overlays" / "gpu" / "training-runtime.yaml"
SMALL = Nodes(image="registry.test/training@sha256:0", num_nodes=2)


@pytest.fixture(scope="module")
def of_paper():
    placement = Placement("paper", load_profile("paper").resources, BY_TAG)
    nodes = nodes_of(placement, "train_judge", train_judge_on_nodes)
    return train_job("train-judge-1", nodes, ["-m", "x"], "run-1", {"A": "1"})


@pytest.fixture(scope="module")
def runtime():
    return yaml.safe_load(MANIFEST.read_text())


@pytest.mark.skipif(not SCHEMA.is_file(), reason=f"no published schema in {SCHEMA.parent}")
@pytest.mark.parametrize("which", ["small", "paper"])
def test_it_is_what_kubeflow_trainer_publishes(which, of_paper):
    job = of_paper if which == "paper" else train_job("x", SMALL, ["-m", "x"], "", {})
    jsonschema.validate(job, json.loads(SCHEMA.read_text()))


def test_the_runtime_that_it_names_is_ours_and_has_what_it_patches(of_paper, runtime):
    assert runtime["metadata"]["name"] == RUNTIME == of_paper["spec"]["runtimeRef"]["name"]
    (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    assert job["name"] == NODES
    assert [one["name"] for one in pod["containers"]] == [NODES]
    (patch,) = of_paper["spec"]["runtimePatches"]
    (patched,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    added = patched["template"]["spec"]["template"]["spec"]
    volumes = {one["name"] for one in pod["volumes"]}
    assert {one["name"] for one in added["volumes"]} <= volumes


def test_there_is_a_process_for_each_gpu_of_each_node(of_paper):
    trainer = of_paper["spec"]["trainer"]
    assert trainer["numNodes"] == 2
    assert trainer["numProcPerNode"] == 8
    assert trainer["command"] == ["torchrun", "-m", "x"]
    assert trainer["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == "8"
    assert train_job("x", SMALL, [], "", {})["spec"]["trainer"]["numProcPerNode"] == 1


def test_a_queue_admits_the_whole_and_not_each_pod(of_paper):
    labels = of_paper["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "spatialreward"
    assert labels["kueue.x-k8s.io/priority-class"] == "normal"
    assert labels[RUN_LABEL] == "run-1"
    (patch,) = of_paper["spec"]["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]
    assert not any(key.startswith("kueue") for key in pod["metadata"]["labels"])
    assert pod["spec"]["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


def test_credentials_are_references(of_paper):
    env = {one["name"]: one for one in of_paper["spec"]["trainer"]["env"]}
    assert env["A"] == {"name": "A", "value": "1"}
    assert env["AWS_SECRET_ACCESS_KEY"]["valueFrom"] == {
        "secretKeyRef": {"name": "object-store-credentials", "key": "AWS_SECRET_ACCESS_KEY"}
    }
    assert [name for name, one in env.items() if "value" in one] == ["A"]


def test_it_ends_by_itself_when_nobody_ends_it(of_paper):
    assert of_paper["spec"]["activeDeadlineSeconds"] == 172_800


def test_the_same_step_has_the_same_name():
    assert job_name("train-judge", "ab" * 32) == "train-judge-abababababababab"
    assert len(job_name("train-judge", "ab" * 32)) < 40
