import math

import pytest
import torch
from pydantic import ValidationError

from spatialreward.editors.config import SamplingConfig, StepWindow
from spatialreward.editors.sampling import (
    draw_edits,
    log_prob,
    roll_out,
    roll_out_from,
    step_times,
    transition,
)
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


def assert_moments(config, variance):
    """4,096 samples have the data's mean and a variance, each within three standard errors."""
    generator = torch.Generator().manual_seed(7)
    condition = Rows(range(4096))
    finished = roll_out(GaussianEditor(), condition, config, generator).finished[..., 0]
    assert abs(float(finished.mean()) - DATA_MEAN) < 3 * math.sqrt(variance / 4096)
    assert abs(float(finished.var()) - variance) < 3 * variance * math.sqrt(2 / 4095)


@pytest.mark.parametrize(("noise", "eta"), [("sde", 0.7), ("dance", 0.3)])
def test_samples_of_a_known_flow_have_its_mean_and_variance(noise, eta):
    config = SamplingConfig(num_denoising_steps=800, eta=eta, noise=noise, stochastic_share=1.0)
    assert_moments(config, DATA_DEVIATION**2)


def test_cps_samples_of_a_known_flow_have_its_mean_and_less_variance():
    """That of the chain: noise from the velocity is a mean, and fresh noise is independent."""
    eta, steps, variance = 0.8, 20, 1.0
    for number in range(steps):
        t, t_next = number / steps, (number + 1) / steps
        slope = (t * DATA_DEVIATION**2 - (1 - t)) / ((t * DATA_DEVIATION) ** 2 + (1 - t) ** 2)
        fresh = (1 - t_next) * math.sin(eta * math.pi / 2)
        kept = math.sqrt((1 - t_next) ** 2 - fresh**2)
        # x0 and x1 grow by these for each unit of x
        of_data, of_noise = 1 + (1 - t) * slope, 1 - t * slope
        variance = (t_next * of_data + kept * of_noise) ** 2 * variance + fresh**2
    assert 0.3 < math.sqrt(variance) < 0.8 * DATA_DEVIATION
    config = SamplingConfig(
        num_denoising_steps=steps, eta=eta, noise="cps", stochastic_share=1.0, time_shift=1.0
    )
    assert_moments(config, variance)


def test_a_dance_step_by_hand():
    latents, velocity = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0)
    step = transition(latents, velocity, 0.5, 0.75, eta=0.4, noise="dance")
    # x0 = 1 + 0.5 * 2 = 2, score = -(1 - 0.5 * 2) / 0.25 = 0
    assert (step.deviation, step.sigma) == (pytest.approx(0.4 * 0.5), 0.4)
    assert step.mean.item() == pytest.approx(1 + 0.25 * 2)
    # x0 = 3 + 0.5 * 2 = 4, score = -(3 - 0.5 * 4) / 0.25 = -4, drawn by 0.4^2 / 2 of it per time
    step = transition(3 * latents, velocity, 0.5, 0.75, eta=0.4, noise="dance")
    assert step.mean.item() == pytest.approx(3 + 0.25 * 2 - 0.25 * 0.08 * 4)
    expected = -0.5 * (0.1 / 0.2) ** 2 - math.log(0.2) - 0.5 * math.log(2 * math.pi)
    assert log_prob(step, step.mean + 0.1).item() == pytest.approx(expected)
    first = transition(latents, velocity, 0.0, 0.25, eta=0.4, noise="dance")
    # At time 0 the score is -x.
    assert first.mean.item() == pytest.approx(1 + 0.25 * 2 - 0.25 * 0.08)


def test_a_cps_step_by_hand():
    latents, velocity = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0)
    step = transition(latents, velocity, 0.5, 0.75, eta=0.8, noise="cps")
    # 0.25 of noise at the end, of which sin(0.4 pi) is fresh; x0 = 2, x1 = 0
    fresh = 0.25 * math.sin(0.4 * math.pi)
    assert step.deviation == step.sigma == pytest.approx(fresh)
    assert step.mean.item() == pytest.approx(0.75 * 2 + math.sqrt(0.25**2 - fresh**2) * 0)
    drawn = step.mean + 0.5
    assert log_prob(step, drawn).item() == pytest.approx(-0.25)
    last = transition(latents, velocity, 0.5, 1.0, eta=0.8, noise="cps")
    assert (last.deviation, last.mean.item()) == (0, 2)


def test_cps_keeps_the_share_of_noise_that_the_ode_has():
    data, noise = torch.tensor([3.0]), torch.tensor([-1.0])
    latents, time, following = 0.3 * data + 0.7 * noise, 0.3, 0.6
    step = transition(latents, data - noise, time, following, eta=0.5, noise="cps")
    kept = (step.mean - following * data) / noise
    assert (kept**2 + step.deviation**2).item() == pytest.approx(0.4**2)


@pytest.mark.parametrize("noise", ["sde", "dance", "cps"])
def test_a_rollout_without_noise_is_the_drawing_by_the_ode_to_the_bit(noise):
    config = SamplingConfig(num_denoising_steps=7, time_shift=3.0, eta=0.0, noise=noise)
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


class HalfEditor(GaussianEditor):
    """Starts with latents of 16 bits."""

    def noise(self, condition, generator):
        return super().noise(condition, generator).bfloat16()

    def velocity(self, latents, times, condition, guided=True):
        return super().velocity(latents.float(), times, condition, guided).bfloat16()


def test_a_log_prob_is_that_of_what_is_kept():
    config = SamplingConfig(num_denoising_steps=5, stochastic_share=0.6)
    rollout = roll_out(HalfEditor(), CONDITION.rows(slice(4)), config, torch.Generator())
    assert rollout.before.dtype == rollout.after.dtype == rollout.finished.dtype == torch.bfloat16
    assert rollout.log_probs_TB.dtype == torch.float32
    for number in range(3):
        latents, times = rollout.before[number], rollout.times[number : number + 2]
        velocity = HalfEditor().velocity(latents, torch.full((4,), times[0]), None)
        step = transition(latents, velocity, *times, config.eta)
        assert step.mean.dtype == torch.float32
        assert torch.equal(log_prob(step, rollout.after[number]), rollout.log_probs_TB[number])


def test_means_are_kept_for_those_who_ask():
    config = SamplingConfig(num_denoising_steps=5, stochastic_share=0.6)
    start = GaussianEditor().noise(range(2), torch.Generator())
    for keeps_means in (True, False):
        rollout = roll_out_from(
            GaussianEditor(),
            CONDITION.rows(slice(2)),
            config,
            start,
            torch.zeros_like,
            plan=config.plan(),
            keeps_means=keeps_means,
        )
        if keeps_means:
            assert torch.equal(rollout.means, rollout.after)
        else:
            assert rollout.means is None


def test_a_group_is_the_same_until_its_first_stochastic_step():
    config = SamplingConfig(num_denoising_steps=6, window=StepWindow(within=(2, 4)))
    editor = GaussianEditor()
    rollout = roll_out(editor, CONDITION.rows(slice(6)), config, torch.Generator(), group_size=3)
    assert rollout.steps == (2, 3)
    assert rollout.before.shape == (2, 6, 1, 1, 2)
    for first in (0, 3):
        group = rollout.before[0, first : first + 3]
        assert torch.equal(group, group[:1].expand_as(group))
        assert len(rollout.finished[first : first + 3].unique()) == 6
    alone = roll_out(editor, CONDITION.rows(slice(2)), config, torch.Generator())
    assert torch.allclose(rollout.before[0, ::3], alone.before[0])


def test_the_last_step_is_never_trained():
    plan = SamplingConfig(num_denoising_steps=4, stochastic_share=1.0).plan()
    assert plan == ((0, 1, 2, 3), (0, 1, 2))
    assert SamplingConfig(num_denoising_steps=4, eta=0.0).plan() == ((), ())


def windows(steps, **settings):
    config = SamplingConfig(num_denoising_steps=6, window=StepWindow(**settings))
    plans = [config.plan(step, seed=3) for step in range(steps)]
    assert all(plan.trained == plan.stochastic for plan in plans)
    return [plan.trained for plan in plans]


def test_a_window_stays_or_moves_onwards_and_begins_again():
    assert windows(3) == [(0, 1)] * 3
    moving = windows(10, moves="onwards", every=2)
    assert moving == [(0, 1)] * 2 + [(1, 2)] * 2 + [(2, 3)] * 2 + [(3, 4)] * 2 + [(0, 1)] * 2
    assert windows(2, num_steps=1, within=(3, 4)) == [(3,)] * 2


def test_a_window_at_random_is_the_same_for_all_who_ask():
    drawn = windows(60, num_steps=1, within=(1, 4), moves="at_random", every=1)
    assert set(drawn) == {(1,), (2,), (3,)}
    assert drawn == windows(60, num_steps=1, within=(1, 4), moves="at_random", every=1)
    assert len(set(windows(6, moves="at_random", every=6))) == 1


def test_a_share_of_the_stochastic_steps_is_drawn_for_each_step():
    config = SamplingConfig(num_denoising_steps=20, stochastic_share=1.0, trained_share=0.6)
    plans = [config.plan(step, seed=3) for step in range(30)]
    assert all(plan.stochastic == tuple(range(20)) for plan in plans)
    assert all(len(set(plan.trained)) == 11 and max(plan.trained) < 19 for plan in plans)
    assert {number for plan in plans for number in plan.trained} == set(range(19))
    assert config.plan(4, seed=3) == plans[4]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"window": {"within": (2, 8)}}, r"within: expected two of the steps 0 to 7 .* got 2, 8"),
        ({"window": {"within": (3, 4)}}, "num_steps: expected at most 1, the steps it may be in"),
        ({"noise": "cps", "eta": 1.2}, "eta: expected at most 1 with noise cps, got 1.2"),
    ],
)
def test_windows_and_noise_that_do_not_fit_are_refused(settings, complaint):
    with pytest.raises(ValidationError, match=complaint):
        SamplingConfig.model_validate(settings)
