import os
from pathlib import Path

import pytest

from pipelines.parts import Part
from pipelines.profile import load_profile
from pipelines.refusals import refuse, refuse_elsewhere, refuse_here, refuse_parts
from pipelines.settings import CorpusData
from spatialreward.errors import InvalidInputError
from tests.data.corpus.made import settings as corpus

ARTIFACT = "s3://bucket/data/small#sha256=" + "0" * 64
JUDGE = {"data": ARTIFACT, "heldout": ARTIFACT}
GROUNDING = "judge.base.kind=grounding"


def said(refusing, *arguments):
    with pytest.raises(InvalidInputError) as caught:
        refusing(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


OMNIGEN2 = "hub:OmniGen2/OmniGen2@df5dca8a981d74e6c3af214c145f5c735fe72367"
TASKS = [
    f"{key}=tasks.jsonl" for key in ("rl.prompts", "rl.watch.prompts", "editor_evaluation.prompts")
]
PUBLISHED = """
[judge.training]
drawn_share = 0
[editor]
kind = "published"
base = { kind = "folder", folder = "some/where" }
"""


@pytest.fixture
def of_the_world(tmp_path):
    """A file with a profile whose published editor gets tasks of the generated world's edits."""
    file = tmp_path / "mine.toml"
    file.write_text(PUBLISHED)
    return str(file)


@pytest.mark.parametrize("profile", ["paper", "one-gpu"])
def test_a_published_editor_needs_tasks(profile):
    assert said(refuse, load_profile(profile), profile, Part.EDITOR, {}) == (
        f"--pipeline editor: needs --data REF, --heldout REF; {OMNIGEN2} gets tasks of these, "
        "unless rl.prompts, rl.watch.prompts and editor_evaluation.prompts name others"
    )
    refuse(load_profile(profile), profile, Part.EDITOR, JUDGE)
    refuse(load_profile(profile, TASKS), profile, Part.EDITOR, {})
    refuse(load_profile(profile), profile, Part.FULL, {"heldout": ARTIFACT})


def test_a_published_editor_is_named_by_the_profile_alone():
    given = JUDGE | {"editor": ARTIFACT}
    assert said(refuse, load_profile("paper"), "paper", Part.EDITOR, given) == (
        f"--pipeline editor: --editor {ARTIFACT}: is not an input of it"
    )


def test_a_published_editor_does_not_draw_the_generated_world(of_the_world):
    refuse(load_profile(of_the_world), "mine", Part.FULL, {})
    drawing = load_profile(of_the_world, ["judge.training.drawn_share=0.5"])
    assert said(refuse, drawing, "mine", Part.DATA, {}) == (
        "profile mine: judge.training.drawn_share: expected 0, since "
        f"{Path('some/where').absolute()} is no editor that draws edits of the generated world for "
        "the judge"
    )


def test_a_published_editor_or_its_tasks_that_are_not_here_are_named(of_the_world):
    complaint = said(refuse_here, load_profile(of_the_world), "mine", Part.FULL, {})
    assert "editor.base.folder: no editor in some/where, expected model_index.json" in complaint
    paper = said(refuse_here, load_profile("paper", TASKS), "paper", Part.EDITOR, {})
    assert "hf download OmniGen2/OmniGen2 --revision df5dca8" in paper
    assert "rl.watch.prompts: tasks.jsonl is not there" in paper


@pytest.mark.parametrize("profile", ["paper", "one-gpu"])
def test_data_and_judge_of_real_edits_run_elsewhere(profile):
    refuse(load_profile(profile), profile, Part.DATA, {})
    refuse(load_profile(profile), profile, Part.JUDGE, JUDGE)
    given = JUDGE | {"data": "hub:owner/name@0123"}
    refuse_elsewhere(load_profile(profile), Part.JUDGE, given)


def test_what_a_part_needs_and_is_not_given_is_named_at_once():
    tiny = load_profile("tiny")
    assert said(refuse, tiny, "tiny", Part.JUDGE, {"data": ARTIFACT}) == (
        "--pipeline judge: needs --heldout REF, --drawn REF; "
        "--set judge.training.drawn_share=0, now 0.6, does without --drawn"
    )
    assert said(refuse, tiny, "tiny", Part.EDITOR, {}) == "--pipeline editor: needs --editor REF"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"editor": ARTIFACT}, f"--editor {ARTIFACT}: is not an input of it"),
        ({"data": "s3://bucket/data"}, "--data 's3://bucket/data': expected s3://BUCKET/PREFIX#"),
        ({"data": "hub:owner/name"}, "--data hub:owner/name: expected hub:OWNER/NAME@REVISION"),
    ],
)
def test_a_reference_that_is_none_or_of_no_use_is_refused(given, complaint):
    profile = load_profile("tiny", ["judge.training.drawn_share=0"])
    assert complaint in said(refuse, profile, "tiny", Part.JUDGE, JUDGE | given)


def test_a_batch_that_its_processes_cannot_share_is_refused():
    paper = load_profile("paper", ["judge.training.optimiser.batch_size=250"])
    assert said(refuse, paper, "paper", Part.JUDGE, JUDGE) == (
        "profile paper: judge.training.optimiser.batch_size 250: cannot be divided evenly among "
        "16 processes"
    )
    here = load_profile("tiny", ["judge.training.processes=5"])
    assert "among 5 processes" in said(refuse, here, "tiny", Part.FULL, {})
    tuned = load_profile("paper", ["judge.grpo.processes=7"])
    assert "judge.grpo.optimiser.batch_size 64: cannot be divided evenly among 7" in said(
        refuse, tuned, "paper", Part.JUDGE, JUDGE
    )


def test_a_pod_sees_no_folder_of_this_machine(tmp_path):
    assert "a pod does not see this machine's folders" in said(
        refuse_elsewhere, load_profile("tiny"), Part.JUDGE, {"data": str(tmp_path)}
    )
    assert said(refuse_elsewhere, load_profile("paper", TASKS), Part.EDITOR, {}) == (
        "rl.prompts tasks.jsonl: a pod does not see this machine's folders, expected "
        "s3://BUCKET/PREFIX#sha256=HEX or hub:OWNER/NAME@REVISION"
    )


def test_real_edits_need_labels():
    tiny = load_profile("tiny", ["judge.training.drawn_share=0"])
    unlabelled = {"kind": "jsonl", "folder": "edits", "columns": "magicbrush"}
    data = CorpusData(corpus=corpus(source=unlabelled))
    profile = tiny.model_copy(update={"data": data})
    given = {"heldout": ARTIFACT, "editor": ARTIFACT}
    assert "no [data.corpus.teacher] makes any" in said(refuse, profile, "mine", Part.FULL, given)


def test_what_cannot_run_here_is_all_named_at_once():
    profile = load_profile("paper", [f"resources.train_judge.cpus={10**6}"])
    complaint = said(refuse_here, profile, "paper", Part.JUDGE, JUDGE)
    assert complaint.startswith("profile paper cannot run on this machine: ")
    for part in ("hf download Qwen/Qwen3-VL-8B-Instruct --revision 0c351dd", "train_judge"):
        assert part in complaint


def test_a_step_that_wants_too_much_is_named():
    wanted = ["resources.train_judge.cpus=100000", "resources.build_shard.cpus=1"]
    profile = load_profile("tiny", [*wanted, GROUNDING])
    complaint = said(refuse_here, profile, "mine", Part.FULL, {})
    assert "train_judge want more than is here, which is one node with" in complaint
    assert f"{os.cpu_count()} CPUs" in complaint
    refuse_here(profile, "mine", Part.DATA, {})


def test_several_nodes_are_more_than_this_machine():
    profile = load_profile("tiny", ["resources.train_judge.num_nodes=2", GROUNDING])
    assert "train_judge want more than is here" in said(refuse_here, profile, "mine", Part.FULL, {})


def test_what_another_pipeline_wants_does_not_matter_here():
    refuse_here(
        load_profile("tiny", ["resources.pack_edits.cpus=100000", GROUNDING]),
        "mine",
        Part.FULL,
        {},
    )


def test_a_base_that_is_not_there_is_named(tmp_path):
    base = ["judge.base.kind=folder", f"judge.base.folder={tmp_path}"]
    complaint = said(refuse_here, load_profile("tiny", base), "mine", Part.FULL, {})
    assert f"no checkpoint in {tmp_path}" in complaint


def test_a_folder_of_data_that_is_not_there_is_named(tmp_path):
    profile = load_profile("tiny", ["judge.training.drawn_share=0", GROUNDING])
    given = JUDGE | {"data": str(tmp_path / "no")}
    assert said(refuse_here, profile, "mine", Part.JUDGE, given) == (
        f"--data {tmp_path / 'no'}: no such folder"
    )


def test_small_models_run_anywhere():
    refuse_here(load_profile("tiny", [GROUNDING]), "mine", Part.FULL, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["rl.processes=9"],
            "rl.num_prompts: expected one at least for each of 9 processes, got 8",
        ),
        (
            [
                *("rl.sharding=zero2", "rl.groups_at_a_time=1"),
                "resources.finetune_editor={num_nodes=3,gpus=2}",
            ],
            "rl: sharding zero2: each process has to do as many passes as the others: expected "
            "num_prompts to be a multiple of 6, updates_per_step times processes, got 8",
        ),
    ],
)
def test_prompts_that_cannot_be_divided_among_processes_are_refused(changes, message):
    profile = load_profile("tiny", ["rl.num_prompts=8", *changes])
    assert message in said(refuse, profile, "tiny", Part.FULL, {})
    refuse(profile, "tiny", Part.DATA, {})


@pytest.mark.parametrize(
    ("step", "setting", "part"),
    [
        ("train_judge", "judge.training.processes", Part.JUDGE),
        ("finetune_editor", "rl.processes", Part.EDITOR),
    ],
)
def test_gpus_that_would_be_idle_are_refused(step, setting, part):
    idle = f"resources.{step}.gpus 4: 2 would be idle, expected {setting} = 4, got 2"
    two = load_profile("tiny", [f"resources.{step}.gpus=4", f"{setting}=2"])
    assert idle in said(refuse_parts, two, "tiny", part)
    refuse_parts(two, "tiny", Part.DATA)


def test_an_editor_is_fine_tuned_in_several_processes():
    several = ["rl.num_prompts=8", "rl.processes=2", "rl.sharding=zero2", "rl.groups_at_a_time=1"]
    refuse(load_profile("tiny", several), "tiny", Part.FULL, {})
