"""What the pods of steps get, read from compiled pipelines."""

import json

import pytest

from components.reward_training.component import IMAGE as TRAINING_IMAGE
from components.rl_finetuning.component import IMAGE as EDITOR_IMAGE
from pipelines.full import compile_pipeline
from pipelines.parts import Part
from pipelines.placement import ENDPOINT_KEYS, STORE_KEYS
from pipelines.profile import load_profile
from tests.pipelines.compiled import Compiled

H100 = "NVIDIA-H100-80GB-HBM3"
TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
RETRIED = {
    "import-data",
    "import-editor",
    "select-edits",
    "select-edits-2",
    "train-judge-on-nodes",
    "tune-judge",
    "evaluate-judge",
    "finetune-editor",
    "compare-editors",
}
WITH_A_MODEL = {
    "train-judge",
    "evaluate-judge",
    "evaluate-judge-2",
    "pretrain-editor",
    "draw-edits",
    "finetune-editor",
    "compare-editors",
}


def compiled(profile, folder, *changes, part=Part.FULL):
    path = folder / "pipeline.yaml"
    compile_pipeline(load_profile(profile, changes), profile, part, path)
    return Compiled.read(path, profile)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return compiled("tiny", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    return compiled("paper", tmp_path_factory.mktemp("paper"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    teacher = ["base_url='https://teacher/v1'", "api_key_variable=VL_KEY"]
    changes = [f"data.corpus.teacher.{one}" for one in teacher]
    return compiled("paper", tmp_path_factory.mktemp("data"), *changes, part=Part.DATA)


@pytest.fixture(params=["tiny", "paper", "data"])
def any_pipeline(request):
    return request.getfixturevalue(request.param)


def test_a_small_profile_asks_for_memory_where_a_model_is_and_for_nothing_else(tiny):
    asked = {}
    for executor in tiny.all_tasks():
        if resources := tiny.container(executor).get("resources"):
            asked[executor.removeprefix("exec-")] = resources
        assert "nodeSelector" not in tiny.pods[executor]
        assert "tolerations" not in tiny.pods[executor]
        assert "activeDeadlineSeconds" not in tiny.pods[executor]
    assert set(asked) == WITH_A_MODEL
    for name, resources in asked.items():
        # Two processes train the judge.
        memory = "6Gi" if name == "train-judge" else "4Gi"
        assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"] == memory
        assert not any("cpu" in key.lower() or "accelerator" in key for key in resources)


def test_a_step_gets_the_gpus_nodes_and_memory_of_its_profile(paper):
    container, pod = paper.container("exec-finetune-editor"), paper.pods["exec-finetune-editor"]
    assert container["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert container["resources"]["accelerator"]["resourceCount"] == "8"
    assert container["resources"]["resourceMemoryLimit"] == "512Gi"
    assert container["resources"]["resourceCpuRequest"] == "64"
    assert pod["nodeSelector"]["labels"] == {"nvidia.com/gpu.product": H100}
    assert pod["tolerations"] == [TAINT]
    assert pod["activeDeadlineSeconds"] == "259200"
    mounts = {one["mountPath"]: one for one in pod["emptyDirMounts"]}
    assert mounts["/dev/shm"]["medium"] == "Memory"
    assert mounts["/dev/shm"]["sizeLimit"] == "64Gi"
    assert mounts["/work"]["sizeLimit"] == "200Gi"


def test_only_what_wants_gpus_waits_in_a_queue(paper):
    queued = {
        executor: pod["podMetadata"]["labels"]
        for executor, pod in paper.pods.items()
        if "kueue.x-k8s.io/queue-name" in pod["podMetadata"]["labels"]
    }
    priorities = {
        executor.removeprefix("exec-"): labels["kueue.x-k8s.io/priority-class"]
        for executor, labels in queued.items()
    }
    assert priorities == {
        "evaluate-judge": "high",
        "finetune-editor": "normal",
        "tune-judge": "normal",
        "compare-editors": "high",
    }
    for executor in paper.all_tasks():
        wants = "accelerator" in paper.container(executor).get("resources", {})
        assert wants == (executor in queued), executor


def test_training_on_nodes_is_followed_by_a_step_without_a_gpu(paper):
    task = paper.steps["train-judge-on-nodes"]
    assert task["taskInfo"]["name"] == "train-judge"
    nodes = json.loads(task["inputs"]["parameters"]["nodes"]["runtimeValue"]["constant"])
    assert nodes["num_nodes"] == 2
    assert nodes["gpus"] == 8
    assert nodes["image"] == TRAINING_IMAGE
    assert nodes["node_selector"] == {"nvidia.com/gpu.product": H100}
    assert nodes["tolerations"] == [TAINT]
    assert nodes["queue_labels"]["kueue.x-k8s.io/priority-class"] == "normal"
    assert "kueue.x-k8s.io/queue-name" not in nodes["labels"]
    assert nodes["labels"]["spatialreward.dev/step"] == "train-judge"
    assert nodes["timeout_s"] == 172_800
    follower = paper.container("exec-train-judge-on-nodes")["resources"]
    assert follower["resourceMemoryLimit"] == "2Gi"
    assert "accelerator" not in follower
    assert "activeDeadlineSeconds" not in paper.pods["exec-train-judge-on-nodes"]


def test_an_editor_is_fine_tuned_on_nodes_with_its_own_image(tmp_path):
    changes = ("resources.finetune_editor.num_nodes=2", "resources.train_judge.num_nodes=1")
    pipeline = compiled("paper", tmp_path, *changes, "rl.num_prompts=16")
    task = pipeline.steps["finetune-editor-on-nodes"]
    assert task["taskInfo"]["name"] == "finetune-editor"
    assert "finetune-editor" not in pipeline.steps
    assert "finetune-editor-on-nodes" in pipeline.steps["compare-editors"]["dependentTasks"]
    nodes = json.loads(task["inputs"]["parameters"]["nodes"]["runtimeValue"]["constant"])
    assert (nodes["num_nodes"], nodes["gpus"], nodes["image"]) == (2, 8, EDITOR_IMAGE)
    assert nodes["labels"]["spatialreward.dev/step"] == "finetune-editor"
    assert nodes["queue_labels"]["kueue.x-k8s.io/priority-class"] == "normal"
    assert "TRITON_GRPC_URL" in nodes["config_map_env"]["spatialreward-endpoints"]
    follower = pipeline.container("exec-finetune-editor-on-nodes")["resources"]
    assert "accelerator" not in follower
    closing = pipeline.outer["close-run"]["inputs"]["parameters"]["has_train_jobs"]
    assert closing["runtimeValue"]["constant"] is True


def test_one_node_trains_in_the_step_itself(tmp_path):
    single = compiled("paper", tmp_path, "resources.train_judge.num_nodes=1")
    assert "train-judge-on-nodes" not in single.steps
    resources = single.container("exec-train-judge")["resources"]
    assert resources["accelerator"]["resourceCount"] == "8"


def test_only_steps_without_effects_are_retried_with_longer_and_longer_waits(paper):
    retried = {
        executor.removeprefix("exec-"): task["retryPolicy"]
        for executor, task in paper.all_tasks().items()
        if task.get("retryPolicy")
    }
    assert retried["evaluate-judge"] == {
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "600s",
        "maxRetryCount": 2,
    }
    assert set(retried) == RETRIED


def test_steps_of_loops_retry_by_themselves(paper, data):
    def inside(pipeline, executor):
        env = pipeline.container(executor).get("env", [])
        return {one["name"]: one["value"] for one in env}

    assert inside(paper, "exec-prepare-edits") == {"SPATIALREWARD_STEP_RETRIES": "3"}
    assert "retryPolicy" not in paper.all_tasks()["exec-prepare-edits"]
    assert inside(paper, "exec-select-edits") == {}
    assert inside(data, "exec-annotate-edits") == {"SPATIALREWARD_STEP_RETRIES": "5"}


def test_every_pod_says_what_it_is(any_pipeline):
    for executor, pod in any_pipeline.pods.items():
        labels = pod["podMetadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "spatialreward"
        assert executor.removeprefix("exec-").startswith(labels["spatialreward.dev/step"])
    profiles = {
        pod["podMetadata"]["labels"]["spatialreward.dev/profile"]
        for pod in any_pipeline.pods.values()
    }
    assert len(profiles) == 1


def test_every_pod_is_an_ordinary_user_with_places_to_write(any_pipeline):
    assert set(any_pipeline.pods) == set(any_pipeline.all_tasks())
    for pod in any_pipeline.pods.values():
        assert pod["securityContext"] == {
            "runAsUser": "10001",
            "runAsGroup": "10001",
            "runAsNonRoot": True,
        }
        assert {"/work", "/tmp"} <= {one["mountPath"] for one in pod["emptyDirMounts"]}


def test_services_and_credentials_come_by_reference_only(any_pipeline):
    for executor, pod in any_pipeline.pods.items():
        maps = {one["configMapName"]: one["keyToEnv"] for one in pod["configMapAsEnv"]}
        assert [one["envVar"] for one in maps["spatialreward-endpoints"]] == list(ENDPOINT_KEYS)
        secrets = {one["secretName"]: one["keyToEnv"] for one in pod["secretAsEnv"]}
        store = secrets.pop("object-store-credentials")
        assert [one["envVar"] for one in store] == list(STORE_KEYS)
        asks = executor in ("exec-annotate-edits", "exec-tune-judge")
        expected = {"teacher-key"} if asks else set()
        assert set(secrets) == expected, executor
        values = any_pipeline.container(executor).get("env", [])
        assert {one["name"] for one in values} <= {"SPATIALREWARD_STEP_RETRIES"}


def test_the_teachers_key_has_the_name_that_the_settings_give_and_may_be_absent(data):
    (teacher,) = [
        one
        for one in data.pods["exec-annotate-edits"]["secretAsEnv"]
        if one["secretName"] == "teacher-key"
    ]
    assert teacher["keyToEnv"] == [{"secretKey": "TEACHER_KEY", "envVar": "VL_KEY"}]
    assert teacher["optional"] is True


def test_building_data_fans_out_within_limits_and_caches_what_reads_no_files(data):
    limits = {
        name: task["iteratorPolicy"]["parallelismLimit"]
        for name, task in data.steps.items()
        if "iteratorPolicy" in task
    }
    assert list(limits.values()) == [32, 8, 32]
    cached = {
        executor.removeprefix("exec-")
        for executor, task in data.all_tasks().items()
        if task.get("cachingOptions", {}).get("enableCache")
    }
    assert cached == {"annotate-edits", "pack-edits"}
    assert data.container("exec-prepare-edits")["resources"]["resourceCpuLimit"] == "8"


def test_steps_learn_the_platforms_id_of_their_run(any_pipeline):
    for pod in any_pipeline.pods.values():
        assert pod["fieldPathAsEnv"] == [
            {
                "name": "SPATIALREWARD_KFP_RUN_ID",
                "fieldPath": "metadata.labels['pipeline/runid']",
            }
        ]
