import json
import re

import pytest

from pipelines.full import compile_pipeline, num_steps
from pipelines.parts import INPUTS, Part
from pipelines.profile import load_profile, names
from tests.pipelines.compiled import Compiled, edges

JUDGE = {
    ("train-judge", "evaluate-judge"),
    ("train-judge", "register-judge"),
    ("evaluate-judge", "register-judge"),
}
EDITOR = {
    ("deploy-judge", "finetune-editor"),
    ("deploy-judge", "compare-editors"),
    ("finetune-editor", "compare-editors"),
    ("finetune-editor", "register-editor"),
    ("compare-editors", "register-editor"),
}
PUBLISHED = EDITOR | {
    ("import-editor", "finetune-editor"),
    ("import-editor", "compare-editors"),
}
"""Of an editor with published weights."""
WORLD = {
    ("build-shard", "merge-shards"),
    ("for-loop-2", "merge-shards"),
    ("merge-shards", "pretrain-editor"),
}
CORPUS = {
    ("for-loop-2", "select-edits"),
    ("select-edits", "for-loop-3"),
    ("for-loop-3", "select-edits-2"),
    ("select-edits-2", "for-loop-4"),
    ("for-loop-4", "gather-edits"),
}
DRAWN = {("pretrain-editor", "draw-edits")}
"""Of edits that the editor draws for the judge's data."""
EARLIER = {
    ("train-judge", "evaluate-judge-2"),
    ("train-judge", "register-judge-2"),
    ("evaluate-judge-2", "register-judge-2"),
    ("register-judge-2", "register-judge"),
}
"""Of an earlier judge, which is registered before the last one."""
TUNED = {
    ("train-judge", "tune-judge"),
    ("tune-judge", "evaluate-judge"),
    ("tune-judge", "register-judge"),
    ("evaluate-judge", "register-judge"),
}
"""Of a judge that GRPO goes on with."""
MADE = {
    "tiny": {
        Part.DATA: WORLD | DRAWN,
        Part.JUDGE: JUDGE | EARLIER,
        Part.EDITOR: EDITOR,
        Part.FULL: WORLD | DRAWN | JUDGE | EARLIER | EDITOR,
    },
    "one-gpu": {
        Part.DATA: CORPUS,
        Part.JUDGE: JUDGE,
        Part.EDITOR: PUBLISHED,
        Part.FULL: CORPUS | JUDGE | PUBLISHED,
    },
}
MADE["paper"] = MADE["rehearsal"] = {
    part: (edges - JUDGE) | TUNED if edges >= JUDGE else edges
    for part, edges in MADE["one-gpu"].items()
}
ON_NODES = "train-judge-on-nodes"


def compiled_of(profile, part, folder, *changes):
    path = folder / "pipeline.yaml"
    compile_pipeline(load_profile(profile, changes), profile, part, path)
    return Compiled.read(path, profile)


@pytest.fixture(scope="module", params=[(name, part) for name in names() for part in Part])
def made(request, tmp_path_factory):
    profile, part = request.param
    return compiled_of(profile, part, tmp_path_factory.mktemp("full")), part


@pytest.fixture(scope="module", params=["tiny", "paper"])
def compiled(request, tmp_path_factory):
    return compiled_of(request.param, Part.FULL, tmp_path_factory.mktemp("full"))


def called(edges):
    """Edges with one name for training, wherever it is done."""
    names = {ON_NODES: "train-judge"}
    return {tuple(names.get(end, end) for end in edge) for edge in edges}


def test_each_part_has_exactly_these_edges(made):
    compiled, part = made
    assert called(compiled.edges()) == MADE[compiled.name][part]


def test_the_whole_is_composed_of_its_parts(tmp_path):
    tiny = compiled_of("tiny", Part.FULL, tmp_path)
    assert edges(tiny.parts) == {("data", "judge"), ("data", "editor"), ("judge", "editor")}
    paper = compiled_of("paper", Part.FULL, tmp_path)
    assert edges(paper.parts) == {
        ("data", "judge"),
        ("import-data", "judge"),
        ("judge", "editor"),
        ("data", "editor"),
        ("import-data", "editor"),
    }


def test_what_a_part_does_not_make_is_brought_before_it(tmp_path):
    judge = compiled_of("tiny", Part.JUDGE, tmp_path)
    brought = {f"import-data{end}" for end in ("", "-2", "-3")}
    assert edges(judge.parts) == {(one, "judge") for one in brought}
    called = {task["taskInfo"]["name"] for name, task in judge.parts.items() if name in brought}
    assert called == {"import-data", "import-heldout", "import-drawn"}
    editor = compiled_of("tiny", Part.EDITOR, tmp_path)
    assert set(editor.parts) == {"editor"}
    published = compiled_of("paper", Part.EDITOR, tmp_path)
    brought = {"import-data", "import-data-2"}
    assert edges(published.parts) == {(one, "editor") for one in brought}


@pytest.mark.parametrize("is_named", [False, True])
def test_a_published_editor_gets_tasks_of_the_data_unless_the_profile_names_others(
    is_named, tmp_path
):
    keys = ("rl.prompts", "rl.watch.prompts", "editor_evaluation.prompts")
    changes = [f"{key}=tasks.jsonl" for key in keys] if is_named else []
    paper = compiled_of("paper", Part.EDITOR, tmp_path, *changes)
    for step, inputs in (
        ("finetune-editor", ("data", "heldout")),
        ("compare-editors", ("heldout",)),
    ):
        given = paper.steps[step]["inputs"]["parameters"]
        for name in inputs:
            expected = (
                {"runtimeValue": {"constant": ""}}
                if is_named
                else {"componentInputParameter": name}
            )
            assert given[name] == expected


def test_a_published_editor_is_not_made_of_the_world(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        "[judge.training]\ndrawn_share = 0\n"
        "[editor]\nkind = 'published'\nbase = { kind = 'folder', folder = 'some/where' }\n"
    )
    path = tmp_path / "pipeline.yaml"
    profile = load_profile(str(file))
    compile_pipeline(profile, "mine", Part.FULL, path)
    mine = Compiled.read(path, "mine")
    made = {edge for edge in WORLD if "pretrain-editor" not in edge}
    assert mine.edges() == made | JUDGE | PUBLISHED
    tasks = mine.all_tasks()
    assert not tasks["exec-import-editor"]["cachingOptions"].get("enableCache")
    assert num_steps(profile, Part.FULL) == num_steps(load_profile("tiny"), Part.FULL) - 3


def test_all_pipelines_have_the_same_parameters(made):
    parameters = made[0].spec["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == {*INPUTS, "parent_run_id"}
    assert {one["defaultValue"] for one in parameters.values()} == {""}


def test_without_a_share_of_drawn_edits_none_are_drawn(tmp_path):
    tiny = compiled_of("tiny", Part.FULL, tmp_path, "judge.training.drawn_share=0")
    assert tiny.edges() == WORLD | JUDGE | EARLIER | EDITOR
    given = tiny.parts["judge"]["inputs"]["parameters"]["drawn"]
    assert given == {"runtimeValue": {"constant": ""}}


def test_a_judge_is_trained_on_drawn_edits_where_the_profile_gives_them_a_share(tmp_path):
    given = compiled_of("tiny", Part.FULL, tmp_path).parts["judge"]["inputs"]["parameters"]
    drawn = {"outputParameterKey": "drawn", "producerTask": "data"}
    assert given["drawn"] == {"taskOutputParameter": drawn}


def test_an_earlier_judge_goes_the_same_way_as_the_last_one(compiled):
    for step in ("evaluate-judge", "register-judge"):
        judges = {
            name: task["inputs"]["parameters"]["judge"]["taskOutputParameter"]["outputParameterKey"]
            for name, task in compiled.steps.items()
            if name in (step, f"{step}-2")
        }
        earlier = {f"{step}-2": "earlier"} if compiled.name == "tiny" else {}
        is_tuned = "tune-judge" in compiled.steps
        assert judges == {step: "Output" if is_tuned else "judge"} | earlier


def test_models_are_put_to_the_gates_that_the_profile_says(tmp_path):
    changes = ["judge.gate.min_mean_iou=0.1", "editor_gate.gain_ci95_low_above=0.06"]
    profile = load_profile("paper", changes)
    steps = compiled_of("paper", Part.FULL, tmp_path, *changes).steps
    gates = {
        name: json.loads(steps[name]["inputs"]["parameters"]["config"]["runtimeValue"]["constant"])[
            "gate"
        ]
        for name in ("register-judge", "register-editor")
    }
    assert gates["register-judge"] == profile.judge.gate.model_dump(mode="json")
    assert gates["register-judge"]["min_mean_iou"] == 0.1
    assert gates["register-editor"] == {"gain_ci95_low_above": 0.06}


def test_the_run_is_opened_before_the_steps_and_closed_after_them(made):
    compiled, _ = made
    steps = f"steps-{compiled.name}"
    assert edges(compiled.outer) == {("open-run", steps), (steps, "close-run")}
    closing = compiled.outer["close-run"]
    assert closing["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert closing["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": steps}}
    has_train_jobs = closing["inputs"]["parameters"]["has_train_jobs"]
    assert has_train_jobs["runtimeValue"]["constant"] is (ON_NODES in compiled.steps)


def test_the_last_step_is_the_one_that_all_others_come_before(made):
    compiled, _ = made
    closing = compiled.outer["close-run"]["inputs"]["parameters"]
    last = closing["last_step"]["runtimeValue"]["constant"]
    (end,) = set(compiled.parts) - {before for before, _ in edges(compiled.parts)}
    inside = compiled.tasks(compiled.parts[end]["componentRef"]["name"])
    assert set(inside) - {before for before, _ in edges(inside)} == {last}


def test_every_shard_is_a_step_of_its_own_but_not_all_at_once(made):
    compiled, part = made
    profile = load_profile(compiled.name)
    if part.makes_data:
        loop = compiled.steps["for-loop-2"]
        number = {"tiny": 2, "rehearsal": 2, "one-gpu": 8, "paper": 342}[compiled.name]
        assert loop["parameterIterator"]["items"]["raw"] == str(list(range(number)))
        limit = loop.get("iteratorPolicy", {}).get("parallelismLimit")
        known = {"tiny": None, "rehearsal": None, "one-gpu": 2, "paper": 32}
        assert limit == known[compiled.name]
        loops = sum(name.startswith("for-loop") for name in compiled.steps)
        tasks = len(compiled.steps) - loops + loops * number
    else:
        tasks = len(compiled.steps)
    assert num_steps(profile, part) == tasks + len(compiled.outer) - 1


def test_steps_with_outside_effects_are_never_cached_by_the_platform(compiled):
    cached = {
        executor
        for executor, task in compiled.all_tasks().items()
        if task.get("cachingOptions", {}).get("enableCache")
    }
    of_profile = {
        "tiny": {"register-judge-2"},
        "paper": {
            "prepare-edits",
            "select-edits",
            "select-edits-2",
            "gather-edits",
            "import-data",
            # A model behind an address judges consistency.
            "tune-judge",
        },
    }[compiled.name]
    uncached = {executor.removeprefix("exec-") for executor in set(compiled.all_tasks()) - cached}
    assert uncached == of_profile | {
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
    tasks = compiled_of("tiny", Part.FULL, tmp_path, *change).all_tasks()
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


def test_no_image_installs_anything_when_it_runs(made):
    compiled, _ = made
    for executor in compiled.all_tasks():
        container = compiled.container(executor)
        assert container["image"].startswith("spatialreward/")
        assert not any("pip install" in part for part in container["command"])


def test_what_steps_make_and_measure_is_described_by_typed_artifacts(made):
    """They are no inputs: docs/pipeline.md says why references are handed on as text."""
    compiled, part = made
    found, taken = {}, set()
    for executor in compiled.all_tasks():
        component = compiled.spec["components"][executor.replace("exec-", "comp-")]
        for one in component.get("outputDefinitions", {}).get("artifacts", {}).values():
            found[executor.removeprefix("exec-")] = one["artifactType"]["schemaTitle"]
        taken |= component["inputDefinitions"].get("artifacts", {}).keys()
    assert not taken
    expected = {
        "merge-shards": "Dataset",
        "gather-edits": "Dataset",
        "draw-edits": "Dataset",
        "import-data": "Dataset",
        "train-judge": "Model",
        ON_NODES: "Model",
        "tune-judge": "Model",
        "pretrain-editor": "Model",
        "import-editor": "Model",
        "finetune-editor": "Model",
        "evaluate-judge": "Metrics",
        "compare-editors": "Metrics",
    }
    assert found
    assert {name: f"system.{expected[re.sub('-[0-9]$', '', name)]}" for name in found} == found
    assert part is not Part.JUDGE or "evaluate-judge" in found
