import os

import pytest

from pipelines.machine import check_runnable
from pipelines.profile import load_profile
from spatialreward.errors import InvalidInputError


def test_what_cannot_run_here_is_all_named_at_once():
    with pytest.raises(InvalidInputError) as caught:
        check_runnable(load_profile("paper"), "paper")
    said = str(caught.value)
    assert said.startswith("profile paper cannot run on this machine: ")
    for part in ("Qwen/Qwen3-VL-8B-Instruct", "OmniGen2/OmniGen2"):
        assert part in said


def test_a_step_that_wants_too_much_is_named():
    wanted = ["resources.train_judge.cpus=100000", "resources.build_shard.cpus=1"]
    profile = load_profile("tiny", [*wanted, "judge.base.kind=grounding"])
    with pytest.raises(InvalidInputError, match=f"train_judge want more .*{os.cpu_count()} CPUs"):
        check_runnable(profile, "mine")


def test_several_nodes_are_more_than_this_machine():
    change = ["resources.train_judge.num_nodes=2", "judge.base.kind=grounding"]
    with pytest.raises(InvalidInputError, match=r"train_judge want more .* one node with"):
        check_runnable(load_profile("tiny", change), "mine")


def test_what_the_data_pipeline_wants_does_not_matter_here():
    change = ["resources.pack_edits.cpus=100000", "judge.base.kind=grounding"]
    check_runnable(load_profile("tiny", change), "mine")


def test_a_base_that_is_not_there_is_named(tmp_path):
    base = ["judge.base.kind=folder", f"judge.base.folder={tmp_path}"]
    with pytest.raises(InvalidInputError, match=f"no checkpoint in {tmp_path}"):
        check_runnable(load_profile("tiny", base), "mine")


def test_small_models_run_anywhere():
    check_runnable(load_profile("tiny", ["judge.base.kind=grounding"]), "mine")
