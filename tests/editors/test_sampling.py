import math

import pytest
import torch

from spatialreward.editors.config import SamplingConfig
from spatialreward.editors.sampling import draw_edits, log_prob, roll_out, step_times, transition
from spatialreward.errors import InvalidInputError

DATA_MEAN, DATA_DEVIATION = 2.0, 0.5


class Rows(list):
    """A condition that says nothing but how many rows it has."""

    def rows(self, chosen):
        return Rows(self[chosen])


CONDITION = Rows(range(4000))


class GaussianEditor:
    """The exact velocity towards data of a known normal distribution, element by element."""

    def noise(self, condition, generator):
        return torch.randn((len(condition), 1, 1, 2), generator=generator)

    def times(self, num_steps, condition):
        return step_times(num_steps, 1.0)

    def velocity(self, latents, times, condition, guided=True):
        t = times[:, None, None, None]
        variance = (t * DATA_DEVIATION) ** 2 + (1 - t) ** 2
        # E[data - noise | latent] of the line from noise to data.
        slope = (t * DATA_DEVIATION**2 - (1 - t)) / variance
        return DATA_MEAN + slope * (latents - t * DATA_MEAN)


def test_a_step_without_noise_is_the_step_of_the_ode():
    latents, velocity = torch.randn(2, 1, 2, 2), torch.randn(2, 1, 2, 2)
    step = transition(latents, velocity, 0.25, 0.5, eta=0.0)
    assert torch.allclose(step.mean, latents + 0.25 * velocity)
    assert step.deviation == 0


def test_a_stochastic_step_by_hand():
    latents, velocity = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0)
    step = transition(latents, velocity, 0.5, 0.75, eta=0.7)
    # sigma = 0.7, so sigma^2 / (2 (1 - t)) = 0.49
    assert step.deviation == pytest.approx(0.7 * 0.5)
    expected = 1 - 0.49 * 0.25 + 2 * (1 + 0.49 * 0.5) * 0.25
    assert step.mean.item() == pytest.approx(expected)


def test_the_first_step_takes_the_next_time_for_its_own():
    zero = torch.zeros(1, 1, 1, 1)
    step = transition(zero, zero, 0.0, 0.125, eta=0.7)
    assert step.deviation == pytest.approx(0.7 * math.sqrt(1 / 0.125) * math.sqrt(0.125))


def test_log_prob_is_that_of_a_normal_distribution():
    step = transition(torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2), 0.5, 0.6, eta=0.7)
    drawn = step.mean + 0.3
    normal = torch.distributions.Normal(step.mean, step.deviation)
    assert torch.allclose(log_prob(step, drawn), normal.log_prob(drawn).mean(dim=(1, 2, 3)))


@pytest.mark.parametrize("eta", [0.0, 0.4, 0.7])
def test_noise_keeps_the_distribution_of_the_data(eta):
    config = SamplingConfig(num_denoising_steps=100, time_shift=2.0, eta=eta, stochastic_share=0.9)
    generator = torch.Generator().manual_seed(0)
    finished = roll_out(GaussianEditor(), CONDITION, config, generator).finished
    assert finished.mean() == pytest.approx(DATA_MEAN, abs=0.06)
    assert finished.std() == pytest.approx(DATA_DEVIATION, rel=0.1)


def test_a_rollout_without_noise_is_the_drawing_by_the_ode_to_the_bit():
    config = SamplingConfig(num_denoising_steps=7, time_shift=3.0, eta=0.0)
    condition = CONDITION.rows(slice(6))
    drawn, rollout = (
        draw(GaussianEditor(), condition, config, torch.Generator().manual_seed(3))
        for draw in (draw_edits, roll_out)
    )
    assert torch.equal(rollout.finished, drawn)
    assert rollout.before.shape == rollout.after.shape == (0, 6, 1, 1, 2)
    assert rollout.log_probs_TB.shape == (0, 6)


def test_a_deterministic_step_has_no_log_prob():
    latents = torch.zeros(1, 1, 1, 1)
    with pytest.raises(InvalidInputError, match="eta 0 is deterministic"):
        log_prob(transition(latents, latents, 0.25, 0.5, eta=0.0), latents)


def test_a_shift_crowds_the_steps_near_the_noise():
    assert step_times(4, 1.0) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert step_times(4, 4.0) == pytest.approx([0.0, 1 / 13, 0.2, 3 / 7, 1.0])


def test_a_rollout_remembers_its_stochastic_steps():
    config = SamplingConfig(num_denoising_steps=5, stochastic_share=0.6)
    rollout = roll_out(GaussianEditor(), CONDITION.rows(slice(3)), config, torch.Generator())
    assert rollout.before.shape == (3, 3, 1, 1, 2)
    assert torch.equal(rollout.before[1], rollout.after[0])
    times = step_times(5, 1.0)
    for number in range(3):
        latents = rollout.before[number]
        velocity = GaussianEditor().velocity(latents, torch.full((3,), times[number]), None)
        step = transition(latents, velocity, times[number], times[number + 1], config.eta)
        assert torch.allclose(log_prob(step, rollout.after[number]), rollout.log_probs_TB[number])
