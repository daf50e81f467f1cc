import copy

import numpy as np
import pytest
import torch

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.prompts import TINY
from spatialreward.training.arguments import training_arguments
from spatialreward.training.collating import IGNORED, Collator
from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig
from spatialreward.training.conversations import Planned
from spatialreward.training.fitting import Snapshot, fit
from spatialreward.training.states import States
from spatialreward.training.trainer import DivergedError
from spatialreward.world.targets import scene_conversation

BATCH = 4


@pytest.fixture(scope="module")
def taught(known_samples):
    tasks = ("semantic", "perceptual")
    return [scene_conversation(task, one, TINY) for task in tasks for one in known_samples]


def run(untrained, conversations, num_steps, folder, *, keep=False, stop_at=None, **more):
    """Train from the same weights; ``stop_at`` ends it in that step as a kill would."""
    model, processor = copy.deepcopy(untrained[0]), untrained[1].following(TINY)
    settings = {"save_every": 2, "report_every": 1} | more.pop("settings", {})
    config = JudgeTrainingConfig(
        num_samples=num_steps * BATCH,
        optimiser=OptimiserConfig(
            matrices="muon", batch_size=BATCH, warmup_steps=2, **more.pop("optimiser", {})
        ),
        **settings,
    )
    reports = []

    def report(metrics, step):
        reports.append((step, metrics))
        if stop_at is not None and step == stop_at:
            raise KeyboardInterrupt

    arguments = training_arguments(config, num_steps, folder, 1)
    if not keep:
        arguments.save_strategy = "no"
    order = np.arange(num_steps * BATCH) % len(conversations)
    fit(
        model,
        arguments,
        Planned(conversations, order),
        Collator(processor),
        matrices=config.optimiser.matrices,
        report=report,
        description="test",
        states=States(folder, {"num_steps": num_steps}) if keep else None,
        **more,
    )
    return model, reports


def test_the_loss_falls_and_is_reported_by_part(untrained, taught, tmp_path):
    _, reports = run(untrained, taught, 30, tmp_path)
    assert [step for step, _ in reports] == list(range(1, 31))
    first, last = reports[0][1], reports[-1][1]
    for part in ("regions", "reasoning", "scores"):
        assert f"loss/{part}" in first
    assert last["loss/all"] < 0.6 * first["loss/all"]
    assert last["speed/samples_per_s"] > 0
    assert last["speed/tokens_per_s"] > last["speed/samples_per_s"]
    assert 0 < last["memory/peak_gib"] < 100
    assert "speed/mfu" not in last


def test_a_batch_of_one_stream_has_no_loss_of_the_others_parts(untrained, taught, tmp_path):
    _, reports = run(untrained, taught, 2, tmp_path)
    assert "loss/regions" in reports[0][1]
    assert "loss/regions" not in reports[1][1]


def test_a_killed_training_goes_on_to_the_same_weights_and_losses(untrained, taught, tmp_path):
    whole, all_reports = run(untrained, taught, 6, tmp_path / "whole", keep=True)
    with pytest.raises(KeyboardInterrupt):
        run(untrained, taught, 6, tmp_path / "killed", keep=True, stop_at=5)
    resumed, reports = run(untrained, taught, 6, tmp_path / "killed", keep=True)
    assert [step for step, _ in reports] == [5, 6]
    for (_, mine), (_, theirs) in zip(reports, all_reports[4:], strict=True):
        assert mine["loss/all"] == theirs["loss/all"]
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name


def test_a_state_that_was_not_written_to_its_end_does_not_count(untrained, taught, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(untrained, taught, 6, tmp_path, keep=True, stop_at=5)
    (tmp_path / "checkpoint-4" / "training.json").unlink()
    _, reports = run(untrained, taught, 6, tmp_path, keep=True)
    assert [step for step, _ in reports] == [3, 4, 5, 6]


def test_the_state_of_another_training_is_refused(untrained, taught, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(untrained, taught, 6, tmp_path, keep=True, stop_at=3)
    with pytest.raises(InvalidInputError, match=r"another training: num_steps was 6, is 8; go on"):
        run(untrained, taught, 8, tmp_path, keep=True)


def test_a_snapshot_is_taken_after_its_step_and_changes_nothing(untrained, taught, tmp_path):
    taken = []

    def take(trainer):
        weights = trainer.model.state_dict()
        taken.append({name: one.clone() for name, one in weights.items()})

    whole, _ = run(untrained, taught, 4, tmp_path, snapshot=Snapshot(2, take))
    plain, _ = run(untrained, taught, 4, tmp_path)
    [snapshot] = taken
    assert any(not torch.equal(one, snapshot[name]) for name, one in plain.state_dict().items())
    for name, weights in plain.state_dict().items():
        assert torch.equal(weights, whole.state_dict()[name]), name


def test_accumulation_does_the_same_as_the_batch_at_once(untrained, taught, tmp_path):
    _, whole = run(untrained, taught, 2, tmp_path)
    _, pieces = run(untrained, taught, 2, tmp_path, settings={"samples_at_a_time": 1})
    for (_, mine), (_, theirs) in zip(whole, pieces, strict=True):
        assert mine["loss/all"] == pytest.approx(theirs["loss/all"], rel=1e-5)
        gradients = "optimiser/gradient_norm"
        assert mine[gradients] == pytest.approx(theirs[gradients], rel=1e-3)


def test_checkpointing_of_activations_changes_nothing(untrained, taught, tmp_path):
    _, plain = run(untrained, taught, 2, tmp_path)
    _, twice = run(untrained, taught, 2, tmp_path, settings={"gradient_checkpointing": True})
    for (_, mine), (_, theirs) in zip(plain, twice, strict=True):
        assert mine["loss/all"] == pytest.approx(theirs["loss/all"], rel=1e-5)


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_batch(
    untrained, taught, tmp_path
):
    broken = copy.deepcopy(untrained[0])
    with torch.no_grad():
        broken.lm_head.weight[0, 0] = float("nan")
    with pytest.raises(DivergedError, match=r"^step 1: the loss is nan in the batch of train-21-0"):
        run((broken, untrained[1]), taught, 2, tmp_path)


def test_a_mixed_batch_has_the_losses_of_its_samples(untrained, taught):
    """One with two pictures and one with one, padded to the same length."""
    model, processor = untrained[0], untrained[1].following(TINY)
    collate = Collator(processor)

    def losses(conversations):
        batch = collate(conversations)
        inputs = {
            name: one
            for name, one in batch.items()
            if name not in ("labels", "shift_labels", "parts", "ids")
        }
        labels = batch["labels"]
        with torch.no_grad():
            logits = model(**inputs, logits_to_keep=labels.shape[1] + 1).logits[:, :-1]
        each = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(labels)
        return [row[mask] for row, mask in zip(each, labels != IGNORED, strict=True)]

    semantic, perceptual = taught[0], taught[len(taught) // 2]
    together = losses([semantic, perceptual])
    for mine, alone in zip(together, (semantic, perceptual), strict=True):
        torch.testing.assert_close(mine, losses([alone])[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "world_size", "message"),
    [
        ({}, 3, r"^batch_size 4: cannot be divided evenly among 3 processes"),
        ({"samples_at_a_time": 3}, 1, r"^samples_at_a_time 3: expected a divisor of 4"),
        ({"samples_at_a_time": 4}, 2, r"^samples_at_a_time 4: expected a divisor of 2"),
    ],
)
def test_a_batch_that_cannot_be_divided_is_refused(tmp_path, settings, world_size, message):
    config = JudgeTrainingConfig(optimiser=OptimiserConfig(batch_size=4), **settings)
    with pytest.raises(InvalidInputError, match=message):
        training_arguments(config, 1, tmp_path, world_size)
