import json

import pytest

from pipelines.dag import compile_pipeline
from pipelines.profile import load_profile, names
from pipelines.run import fixed_steps
from tests.pipelines.compiled import Compiled, edges

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
DRAWN = {("pretrain-editor", "draw-edits"), ("draw-edits", "train-judge")}
"""Of edits that the editor draws for the judge's data."""
EARLIER = {
    ("train-judge", "evaluate-judge-2"),
    ("build-shard-2", "evaluate-judge-2"),
    ("train-judge", "register-judge-2"),
    ("evaluate-judge-2", "register-judge-2"),
    ("register-judge-2", "register-judge"),
}
"""Of an earlier judge, which is registered before the last one."""
ON_NODES = "train-judge-on-nodes"


@pytest.fixture(scope="module", params=names())
def compiled(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("dag") / "pipeline.yaml"
    compile_pipeline(load_profile(request.param), request.param, path)
    return Compiled.read(path, request.param)


def test_without_a_share_of_drawn_edits_none_are_drawn(tmp_path):
    none_drawn = load_profile("tiny", ["judge.training.drawn_share=0"])
    compile_pipeline(none_drawn, "tiny", tmp_path / "tiny.yaml")
    tiny = Compiled.read(tmp_path / "tiny.yaml", "tiny")
    called = {ON_NODES: "train-judge"}
    edges = {tuple(called.get(end, end) for end in edge) for edge in tiny.edges()}
    assert edges == EDGES | EARLIER


def test_the_graph_has_exactly_these_edges(compiled):
    called = {ON_NODES: "train-judge"}
    expected = {"tiny": EDGES | DRAWN | EARLIER, "paper": EDGES}[compiled.name]
    assert {tuple(called.get(end, end) for end in edge) for edge in compiled.edges()} == expected


def test_a_judge_is_trained_on_drawn_edits_where_the_profile_gives_them_a_share(compiled):
    given = [
        task["inputs"]["parameters"]["drawn"]
        for name, task in compiled.steps.items()
        if name in ("train-judge", ON_NODES)
    ]
    drawn = {"outputParameterKey": "Output", "producerTask": "draw-edits"}
    assert (
        given
        == {
            "tiny": [{"taskOutputParameter": drawn}],
            "paper": [{"runtimeValue": {"constant": ""}}],
        }[compiled.name]
    )


def test_an_earlier_judge_goes_the_same_way_as_the_last_one(compiled):
    for step in ("evaluate-judge", "register-judge"):
        judges = {
            name: task["inputs"]["parameters"]["judge"]["taskOutputParameter"]["outputParameterKey"]
            for name, task in compiled.steps.items()
            if name in (step, f"{step}-2")
        }
        earlier = {f"{step}-2": "earlier"} if compiled.name == "tiny" else {}
        assert judges == {step: "judge"} | earlier


def test_models_are_put_to_the_gates_that_the_profile_says(tmp_path):
    changes = ["judge.gate.min_mean_iou=0.1", "editor_gate.gain_ci95_low_above=0.06"]
    profile = load_profile("paper", changes)
    compile_pipeline(profile, "paper", tmp_path / "pipeline.yaml")
    steps = Compiled.read(tmp_path / "pipeline.yaml").steps
    gates = {
        name: json.loads(steps[name]["inputs"]["parameters"]["config"]["runtimeValue"]["constant"])[
            "gate"
        ]
        for name in ("register-judge", "register-editor")
    }
    assert gates["register-judge"] == profile.judge.gate.model_dump(mode="json")
    assert gates["register-judge"]["min_mean_iou"] == 0.1
    assert gates["register-editor"] == {"gain_ci95_low_above": 0.06}


def test_the_run_is_opened_before_the_steps_and_closed_after_them(compiled):
    steps = f"steps-{compiled.name}"
    assert edges(compiled.outer) == {("open-run", steps), (steps, "close-run")}
    closing = compiled.outer["close-run"]
    assert closing["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert closing["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": steps}}
    last = closing["inputs"]["parameters"]["last_step"]["runtimeValue"]["constant"]
    assert set(compiled.steps) - {before for before, _ in compiled.edges()} == {last}
    has_train_jobs = closing["inputs"]["parameters"]["has_train_jobs"]
    assert has_train_jobs["runtimeValue"]["constant"] is (ON_NODES in compiled.steps)


def test_every_shard_is_a_step_of_its_own_but_not_all_at_once(compiled):
    loop = compiled.steps["for-loop-2"]
    profile = load_profile(compiled.name)
    shards = list(range(profile.data.num_shards))
    assert loop["parameterIterator"]["items"]["raw"] == str(shards)
    limit = loop.get("iteratorPolicy", {}).get("parallelismLimit")
    assert limit == {"tiny": None, "paper": 32}[compiled.name]
    assert len(compiled.steps) - 1 == fixed_steps(profile)


def test_steps_with_outside_effects_are_never_cached_by_the_platform(compiled):
    cached = {
        executor
        for executor, task in compiled.all_tasks().items()
        if task.get("cachingOptions", {}).get("enableCache")
    }
    earlier = {"register-judge-2"} if compiled.name == "tiny" else set()
    uncached = {executor.removeprefix("exec-") for executor in set(compiled.all_tasks()) - cached}
    assert uncached == earlier | {
        "open-run",
        "register-judge",
        "deploy-judge",
        "register-editor",
        "close-run",
    }


@pytest.mark.parametrize(
    ("change", "uncached"),
    [
        (
            ["data.photos=some/where"],
            {"exec-build-shard", "exec-build-shard-2", "exec-draw-edits"},
        ),
        (["judge.base.kind=folder", "judge.base.folder=some/where"], {"exec-train-judge"}),
    ],
)
def test_what_reads_a_folder_is_never_cached_by_the_platform(change, uncached, tmp_path):
    compile_pipeline(load_profile("tiny", change), "mine", tmp_path / "mine.yaml")
    tasks = Compiled.read(tmp_path / "mine.yaml").all_tasks()
    for executor, task in tasks.items():
        if executor in uncached:
            assert not task["cachingOptions"].get("enableCache"), executor
    assert tasks["exec-merge-shards"]["cachingOptions"]["enableCache"]


def test_what_a_run_is_called_is_no_part_of_what_steps_are_given(compiled):
    """Else no run of the platform would find the steps of an earlier one in its cache."""
    for name, task in compiled.steps.items():
        given = task["inputs"]["parameters"]
        parent = given.get("parent_run_id") or given["pipelinechannel--parent_run_id"]
        assert parent == {"componentInputParameter": "parent_run_id"}, name
    assert (
        compiled.spec["root"]["inputDefinitions"]["parameters"]["parent_run_id"]["defaultValue"]
        == ""
    )


def test_no_image_installs_anything_when_it_runs(compiled):
    for executor in compiled.all_tasks():
        container = compiled.container(executor)
        assert container["image"].startswith("spatialreward/")
        assert not any("pip install" in part for part in container["command"])
