import json
from concurrent.futures import ProcessPoolExecutor

import pytest

from serving.bench.claim_rl import _settings, measure
from spatialreward.editors.config import DenoisingConfig, SamplingConfig
from spatialreward.errors import InvalidInputError
from spatialreward.rl.config import RlConfig
from spatialreward.rl.watch_config import WatchConfig
from spatialreward.world.rl_claim import training
from spatialreward.world.rl_claim.config import HeldOutConfig, RlClaimConfig
from spatialreward.world.rl_claim.running import RlClaimFolder
from spatialreward.world.shipped import SHIPPED_BASE

DENOISING = DenoisingConfig(num_denoising_steps=2)
SMALL = RlClaimConfig(
    rewards=("region_advantages", "pixels", "oracle"),
    seeds=(5,),
    rl=RlConfig(
        num_steps=1,
        num_prompts=1,
        group_size=3,
        sampling=SamplingConfig(num_denoising_steps=2),
        scores_in_background=False,
        save_every=1,
        max_wait_s=0,
        watch=WatchConfig(
            every_steps=1, num_prompts=1, group_size=2, denoising=DENOISING, num_sheet_rows=0
        ),
    ),
    learning_rates=(1e-4, 1e-3),
    processes=1,
    held_out=HeldOutConfig(num_prompts=3, denoising=DENOISING),
)
JUDGES = [{"regions": SHIPPED_BASE}]


@pytest.fixture(scope="module")
def claimed(editor_folder, tmp_path_factory):
    """A folder in which the whole claim was made at its smallest, and its figures."""
    out = tmp_path_factory.mktemp("claim") / "claim-rl"
    return out, measure(out, SMALL, editor_folder, JUDGES, SHIPPED_BASE)


def test_the_claim_is_made_from_end_to_end(claimed):
    out, figures = claimed
    named = {one.name: one for one in figures}
    assert {"gain/pixels", "oracle_reward/after/oracle", "step_s/region_advantages"} <= {*named}
    record = json.loads((out / "claim-rl.json").read_text())
    assert record["learning_rate"] in SMALL.learning_rates
    assert {one["kind"] for one in record["trainings"]} == {*SMALL.rewards}
    for one in record["trainings"]:
        assert [look["step"] for look in one["looks"]] == [0, 1]
        assert all(len(look["rewards"]) == 3 for look in one["looks"])
        # All start from the same editor and noise.
        assert one["looks"][0]["rewards"] == record["trainings"][0]["looks"][0]["rewards"]
        assert "watch/held_out_reward" in one["looks"][-1]["watch"]
    watched = {one["kind"]: one["told"] for one in record["trainings"]}
    assert watched["pixels"]["whole_picture_share"] is None
    assert watched["region_advantages"]["whole_picture_share"] is not None
    assert "target" in (out / "claim-rl.md").read_text()
    assert (out / "claim-rl.png").stat().st_size > 10_000


def test_what_is_finished_is_not_made_again(claimed, editor_folder, monkeypatch):
    out, _ = claimed

    def start(*_):
        raise AssertionError("a training was begun again")

    monkeypatch.setattr(ProcessPoolExecutor, "submit", start)
    again = RlClaimFolder(out, SMALL, editor_folder, JUDGES, SHIPPED_BASE).run()
    assert len(again.trainings) == 3


def test_another_size_is_refused_in_the_same_folder(claimed, editor_folder):
    out, _ = claimed
    other = SMALL.model_copy(update={"seeds": (5, 6)})
    with pytest.raises(InvalidInputError, match="other settings"):
        RlClaimFolder(out, other, editor_folder, JUDGES, SHIPPED_BASE)


def test_a_killed_training_goes_on_to_the_same_result(
    claimed, editor_folder, tmp_path, monkeypatch
):
    class Killed(training.Looking):
        def __call__(self, step, policy):
            if step == 2:
                raise KeyboardInterrupt
            return super().__call__(step, policy)

    def job(folder):
        rl = SMALL.rl_of("pixels", 5, 1e-3, {}, None).model_copy(update={"num_steps": 2})
        return training.Job("pixels", rl, 0, SMALL.world, SMALL.held_out, editor_folder, folder)

    whole = training.train(job(tmp_path / "whole"))
    killed = job(tmp_path / "killed")
    with monkeypatch.context() as patched:
        patched.setattr(training, "Looking", Killed)
        with pytest.raises(KeyboardInterrupt):
            training.train(killed)
    assert killed.trained is None
    assert killed.steps_done == 1
    assert training.train(killed).looks[-1].rewards == whole.looks[-1].rewards
    assert killed.steps_done == 2
    before, ended, gone_on = (
        (folder / "editor.safetensors").read_bytes()
        for folder in (editor_folder, tmp_path / "whole/editor", tmp_path / "killed/editor")
    )
    assert gone_on == ended != before


def test_seeds_and_steps_are_options_and_looks_must_be_evenly_spaced():
    config = _settings(RlClaimConfig(), ["held_out.num_prompts=8"], 1, 20)
    assert (config.seeds, config.rl.num_steps, config.held_out.num_prompts) == ((5,), 20, 8)
    with pytest.raises(InvalidInputError, match="expected a multiple of"):
        _settings(RlClaimConfig(), [], None, 25)
