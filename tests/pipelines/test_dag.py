import pytest
import yaml

from pipelines.dag import compile_pipeline
from pipelines.profile import load_profile, names
from pipelines.run import FIXED_STEPS

EDGES = {
    ("for-loop-2", "merge-shards"),
    ("merge-shards", "train-judge"),
    ("train-judge", "evaluate-judge"),
    ("build-shard-2", "evaluate-judge"),
    ("train-judge", "register-judge"),
    ("evaluate-judge", "register-judge"),
    ("register-judge", "deploy-judge"),
    ("merge-shards", "pretrain-editor"),
    ("pretrain-editor", "finetune-editor"),
    ("deploy-judge", "finetune-editor"),
    ("pretrain-editor", "compare-editors"),
    ("finetune-editor", "compare-editors"),
    ("deploy-judge", "compare-editors"),
    ("finetune-editor", "register-editor"),
    ("compare-editors", "register-editor"),
}


@pytest.fixture(scope="module", params=names())
def compiled(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("dag") / "pipeline.yaml"
    compile_pipeline(load_profile(request.param), request.param, path)
    return request.param, next(iter(yaml.safe_load_all(path.read_text())))


def test_the_graph_has_exactly_these_edges(compiled):
    _, spec = compiled
    tasks = spec["root"]["dag"]["tasks"]
    edges = {
        (before, name) for name, task in tasks.items() for before in task.get("dependentTasks", [])
    }
    assert edges == EDGES


def test_every_shard_is_a_step_of_its_own(compiled):
    name, spec = compiled
    loop = spec["root"]["dag"]["tasks"]["for-loop-2"]
    shards = load_profile(name).data.num_shards
    assert loop["parameterIterator"]["items"]["raw"] == str(list(range(shards)))
    assert len(spec["root"]["dag"]["tasks"]) - 1 == FIXED_STEPS


def test_steps_with_outside_effects_are_never_cached_by_the_platform(compiled):
    _, spec = compiled
    tasks = spec["root"]["dag"]["tasks"]
    uncached = {
        name
        for name, task in tasks.items()
        if not task.get("cachingOptions", {}).get("enableCache")
    }
    assert uncached - {"for-loop-2"} == {"register-judge", "deploy-judge", "register-editor"}


def test_resources_are_asked_for_where_the_profile_gives_them(compiled):
    name, spec = compiled
    executors = spec["deploymentSpec"]["executors"]
    asked = {
        step: executor["container"].get("resources", {}) for step, executor in executors.items()
    }
    if name == "tiny":
        assert not any(asked.values())
        return
    training = asked["exec-train-judge"]
    assert training["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert training["accelerator"]["resourceCount"] == "8"
    assert training["resourceMemoryLimit"] == "512Gi"
    assert "accelerator" not in asked["exec-build-shard"]


def test_no_image_installs_anything_when_it_runs(compiled):
    _, spec = compiled
    for executor in spec["deploymentSpec"]["executors"].values():
        assert executor["container"]["image"].startswith("spatialreward/")
        assert not any("pip install" in part for part in executor["container"]["command"])
