import copy
import itertools

import pytest
import torch

from spatialreward.protocol.prompts import TINY
from spatialreward.training.config import OptimiserConfig
from spatialreward.training.loop import Snapshot, batches_of, train
from spatialreward.training.optimisation import learning_rate_factor
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.targets import scene_examples

DATA = DataConfig(seed=3)


@pytest.fixture(scope="module")
def few_samples():
    return list(draw_samples(DATA, "train", 8))


def run(untrained, samples, num_steps, resume_file=None, stop_after=None, snapshot_step=None):
    """Train from the same weights; ``stop_after`` ends it like a kill would."""
    model, processor = copy.deepcopy(untrained[0]), untrained[1]
    reports = []

    def take():
        reports.append({name: one.clone() for name, one in model.state_dict().items()})

    examples = scene_examples("perceptual", samples, TINY)
    batches = itertools.cycle(batches_of("perceptual", examples, 4))
    if stop_after is not None:
        batches = itertools.chain(itertools.islice(batches, stop_after), killed())
    train(
        model,
        processor,
        batches,
        num_steps=num_steps,
        config=OptimiserConfig(batch_size=4, warmup_steps=2),
        description="test",
        report=lambda metrics, step: reports.append((step, metrics)),
        resume_file=resume_file,
        keep_every=2,
        snapshot=Snapshot(snapshot_step, take) if snapshot_step else None,
    )
    return model, reports


def killed():
    yield from ()
    raise KeyboardInterrupt


def test_the_loss_of_a_few_samples_falls(untrained, few_samples):
    _, reports = run(untrained, few_samples[:4], 60)
    assert [step for step, _ in reports] == [50, 60]
    first, last = (metrics["loss/perceptual"] for _, metrics in reports)
    assert last < 0.5 * first
    assert reports[0][1]["speed/samples_per_s"] > 0


def test_a_killed_training_goes_on_to_the_same_weights(untrained, few_samples, tmp_path):
    state = tmp_path / "state.pt"
    whole, _ = run(untrained, few_samples, 6)
    with pytest.raises(KeyboardInterrupt):
        run(untrained, few_samples, 6, resume_file=state, stop_after=5)
    assert state.is_file()
    resumed, _ = run(untrained, few_samples, 6, resume_file=state)
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name


def test_a_snapshot_is_the_model_after_its_step_and_changes_nothing(
    untrained, few_samples, tmp_path
):
    state = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        run(untrained, few_samples, 4, resume_file=state, stop_after=2)
    after_two = torch.load(state, weights_only=True)["parts"][0]
    with_one, (snapshot, _) = run(untrained, few_samples, 4, snapshot_step=2)
    without, _ = run(untrained, few_samples, 4)
    for name, weights in with_one.state_dict().items():
        assert torch.equal(snapshot[name], after_two[name]), name
        assert torch.equal(weights, without.state_dict()[name]), name
    # A training that goes on after that step has taken it before.
    _, reports = run(untrained, few_samples, 4, resume_file=state, snapshot_step=2)
    assert len(reports) == 1


def test_the_learning_rate_warms_up_and_falls_to_a_tenth():
    factors = [learning_rate_factor(step, 4, 100) for step in range(101)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(factors[4:]))


def test_batches_hold_every_example_once_with_answers_of_like_length(few_samples):
    examples = list(scene_examples("semantic", few_samples, TINY))
    batches = list(batches_of("semantic", examples, 3))
    answers = [[example.answer for example in batch.examples] for batch in batches]
    assert [len(batch) for batch in answers] == [3, 3, 2]
    assert list(itertools.chain(*answers)) == sorted((one.answer for one in examples), key=len)
