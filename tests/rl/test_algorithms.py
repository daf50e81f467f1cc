import itertools
import math

import numpy as np
import pytest
import torch

from spatialreward.editors.config import SamplingConfig
from spatialreward.editors.sampling import deviation_of
from spatialreward.rl.algorithms.config import (
    AwmSettings,
    FlowDppoSettings,
    FlowGrpoSettings,
    GuardSettings,
    NftSettings,
)
from spatialreward.rl.algorithms.interface import Advantages, parts_of
from spatialreward.rl.seeds import generator
from tests.rl.algorithm_setting import ALGORITHMS, COUNTS, OF_EDITS, Setting


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_gradient_is_that_of_finite_differences(name):
    setting = Setting(ALGORITHMS[name])
    setting.average.follow(0.0)
    at, step = (-0.38, 0.31), 1e-6
    gradient = setting.editor.set(*at) and setting.gradient()
    for number in range(2):
        ends = []
        for sign in (1, -1):
            moved = list(at)
            moved[number] += sign * step
            setting.editor.set(*moved)
            ends.append(setting.loss().item())
        slope = (ends[0] - ends[1]) / (2 * step)
        if name == "nft":
            # The weights of the errors have no gradient, though they move.
            continue
        assert float(gradient[number]) == pytest.approx(slope, rel=1e-4, abs=1e-7)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("name", ["flow_grpo", "guard", "flow_dppo", "awm"])
def test_before_the_first_update_ratios_are_1_and_gradients_are_not_0(name):
    setting = Setting(ALGORITHMS[name])
    for term in setting.terms():
        assert term.log_ratio_B.abs().max() < 1e-15
        assert term.metrics["policy/clipped_share"].sum() == 0
        kl = term.metrics.get("policy/kl", torch.zeros(1))
        assert kl.abs().max() == 0
    assert setting.gradient().abs().max() > 1e-3


@pytest.mark.parametrize("name", ["flow_grpo", "guard", "flow_dppo", "awm"])
def test_after_an_update_ratios_are_others_and_some_are_held_back(name):
    setting = Setting(ALGORITHMS[name])
    setting.editor.set(-0.2, 0.5)
    terms = setting.terms()
    assert all(term.log_ratio_B.abs().min() > 1e-4 for term in terms)
    outside = torch.stack([term.metrics["policy/clipped_share"] for term in terms])
    assert outside.sum() > 0


def test_flow_grpo_by_hand():
    setting = Setting(FlowGrpoSettings(clip_low=0.01, clip_high=0.02, kl_weight=0.3))
    setting.editor.set(-0.39, 0.32)
    number, eta = 1, 0.7
    time, following_time = 0.2, 0.4
    sigma = eta * math.sqrt((1 - time) / time)
    deviation = sigma * math.sqrt(0.2)
    before, after = (
        one[number].numpy() for one in (setting.batch.rollout.before, setting.batch.rollout.after)
    )

    def mean(slope, offset):
        velocity = slope * before + offset
        pull = sigma**2 / (2 * (1 - time))
        return before * (1 - pull * 0.2) + velocity * (1 + pull * time) * 0.2

    def log_prob(slope, offset):
        apart = (after - mean(slope, offset)) / deviation
        constant = math.log(deviation) + 0.5 * math.log(2 * math.pi)
        return (-0.5 * apart**2 - constant).reshape(4, -1).mean(1)

    ratio = np.exp(log_prob(-0.39, 0.32) - log_prob(-0.4, 0.3))
    advantages = OF_EDITS.numpy()
    clipped = np.maximum(-advantages * ratio, -advantages * ratio.clip(0.99, 1.02))
    squared = (mean(-0.39, 0.32) - mean(-0.4, 0.3)) ** 2
    kl = (squared / (2 * sigma**2)).reshape(4, -1).mean(1)
    term = setting.terms()[number]
    assert following_time - time == pytest.approx(0.2)
    assert term.loss_B.detach().numpy() == pytest.approx(clipped + 0.3 * kl, rel=1e-12)
    assert term.metrics["policy/ratio"].numpy() == pytest.approx(ratio)
    assert term.metrics["policy/kl"].numpy() == pytest.approx(kl)


def test_the_divergence_has_a_gradient():
    # Its gradient is 0 at the reference itself, like that of every distance.
    advantages = Advantages(torch.zeros(4, dtype=torch.float64), COUNTS)
    for settings in (FlowGrpoSettings(), NftSettings(), AwmSettings(kl_weight=0.5)):
        setting = Setting(settings)
        setting.editor.set(-0.2, 0.6)
        assert setting.gradient(advantages).abs().max() > 1e-6


def test_cps_takes_squared_distances_for_log_probs():
    sampling = SamplingConfig(num_denoising_steps=5, stochastic_share=0.6, noise="cps", eta=0.8)
    setting = Setting(FlowGrpoSettings(kl_weight=0.0), sampling)
    setting.editor.set(-0.39, 0.32)
    rollout = setting.batch.rollout
    time, following = 0.2, 0.4
    fresh = (1 - following) * math.sin(0.8 * math.pi / 2)
    kept = math.sqrt((1 - following) ** 2 - fresh**2)

    def distance(slope, offset):
        x, v = rollout.before[1], slope * rollout.before[1] + offset
        mean = following * (x + (1 - time) * v) + kept * (x - time * v)
        return (rollout.after[1] - mean).square().flatten(1).mean(1)

    expected = distance(-0.4, 0.3) - distance(-0.39, 0.32)
    assert torch.allclose(setting.terms()[1].log_ratio_B, expected)


def test_tempflow_weighs_steps_by_their_noise():
    plain, weighted = (
        Setting(FlowGrpoSettings(kl_weight=0.0, step_weights=one)) for one in ("equal", "noise")
    )
    times = plain.batch.rollout.times
    deviations = np.array(
        [deviation_of(*pair, 0.7, "sde")[0] for pair in itertools.pairwise(times[:4])]
    )
    for weight, one, other in zip(
        deviations / deviations.mean(), plain.terms(), weighted.terms(), strict=True
    ):
        assert torch.allclose(weight * one.loss_B, other.loss_B)


def test_a_window_has_a_small_clip_range_unless_it_is_given():
    assert FlowGrpoSettings().clip_range(in_window=False) == (1e-4, 5e-4)
    assert FlowGrpoSettings().clip_range(in_window=True) == (1e-5, 1e-5)
    assert FlowGrpoSettings(clip_low=0.1).clip_range(in_window=True) == (0.1, 1e-5)


def test_guards_ratio_is_the_normalised_one_and_linear_in_the_change():
    setting = Setting(GuardSettings(kl_weight=0.0))
    rollout = setting.batch.rollout
    found = {}
    for factor in (0.0, 1.0, 2.0):
        setting.editor.set(-0.4, 0.3 + factor * 0.01)
        found[factor] = [term.log_ratio_B for term in setting.terms()]
    for number, step in enumerate(rollout.steps):
        time, following = rollout.times[step : step + 2]
        deviation, _ = deviation_of(time, following, 0.7, "sde")
        # dmu of an offset that is 0.01 larger
        sigma = deviation / math.sqrt(following - time)
        apart = 0.01 * (1 + sigma**2 * time / (2 * (1 - time))) * (following - time)
        drawn = (rollout.after[number] - rollout.means[number]) / deviation
        plain = (apart * drawn / deviation - apart**2 / (2 * deviation**2)).flatten(1).mean(1)
        expected = deviation * (plain + apart**2 / (2 * deviation**2))
        assert torch.allclose(found[1.0][number], expected)
        assert torch.allclose(found[2.0][number], 2 * found[1.0][number])
        assert found[0.0][number].abs().max() < 1e-14


def test_guard_divides_a_steps_loss_by_its_length():
    whole, divided = (
        Setting(GuardSettings(kl_weight=0.0, divides_by_length=one)) for one in (False, True)
    )
    for one, other in zip(whole.terms(), divided.terms(), strict=True):
        assert torch.allclose(one.loss_B / 0.2, other.loss_B)


def test_flow_dppo_stops_what_is_too_far_away_and_would_go_on():
    setting = Setting(FlowDppoSettings(max_divergence=1e-5, kl_weight=0.0))
    setting.editor.set(-0.4, 0.4)
    for number, term in enumerate(setting.terms()):
        step = setting.batch.rollout.steps[number]
        deviation, _ = deviation_of(*setting.batch.rollout.times[step : step + 2], 0.7, "sde")
        apart = setting.algorithm._transition(setting.editor, setting.batch, number).mean
        apart = (apart - setting.batch.rollout.means[number]).detach()
        divergence = apart.square().flatten(1).mean(1) / (2 * deviation**2)
        assert divergence.min() > 1e-5
        goes_on = (OF_EDITS > 0) == (term.log_ratio_B > 0)
        expected = torch.where(goes_on, 0.0, -OF_EDITS * term.log_ratio_B.exp())
        assert torch.allclose(term.loss_B, expected)
        assert term.metrics["policy/clipped_share"].tolist() == goes_on.double().tolist()
    near = Setting(FlowDppoSettings(max_divergence=1e3, kl_weight=0.0))
    near.editor.set(-0.4, 0.4)
    for term in near.terms():
        assert torch.allclose(term.loss_B, -OF_EDITS * term.log_ratio_B.exp())


def test_nft_by_hand():
    setting = Setting(NftSettings(strength=0.5, kl_weight=0.2))
    setting.editor.set(-0.38, 0.33)
    number, strength = 2, 0.5
    noised = setting.algorithm.noised(setting.batch, number)
    x, x0, sigma = noised.latents.numpy(), noised.finished.numpy(), 1 - noised.time
    # As the paper has it, with velocities from data to noise.
    old, new = (-(slope * x + offset) for slope, offset in ((-0.4, 0.3), (-0.38, 0.33)))
    good = 0.5 + 0.5 * (OF_EDITS.numpy() / 5).clip(-1, 1)
    branches = []
    for velocity in (
        strength * new + (1 - strength) * old,
        (1 + strength) * old - strength * new,
    ):
        predicted = x - sigma * velocity
        weight = np.abs(predicted - x0).reshape(4, -1).mean(1)
        branches.append(((predicted - x0) ** 2).reshape(4, -1).mean(1) / weight)
    loss = 5 * (good * branches[0] + (1 - good) * branches[1]) / strength
    loss += 0.2 * ((new - old) ** 2).reshape(4, -1).mean(1)
    assert setting.terms()[number].loss_B.detach().numpy() == pytest.approx(loss, rel=1e-12)


def test_nft_begins_without_a_preference_and_with_a_gradient_of_one():
    setting = Setting(NftSettings(kl_weight=0.0))
    sizes = (-5.0, -1.0, 0.0, 2.0, 5.0)
    losses, gradients = [], []
    for size in sizes:
        advantages = Advantages(torch.full((4,), size, dtype=torch.float64), COUNTS)
        losses.append(setting.loss(advantages).item())
        gradients.append(setting.gradient(advantages))
    assert losses == pytest.approx([losses[0]] * 5, rel=1e-12)
    for size, gradient in zip(sizes, gradients, strict=True):
        assert torch.allclose(gradient, size / 5 * gradients[-1], atol=1e-12)


def test_nft_leaves_out_what_teaches_nothing():
    setting = Setting(NftSettings(kl_weight=0.0))
    counts = torch.tensor([True, False, True, False])
    losses = [term.loss_B for term in setting.terms(Advantages(OF_EDITS, counts))]
    assert all(loss[1] == loss[3] == 0 < loss[0] for loss in losses)


def test_nfts_old_policy_draws_and_follows():
    setting = Setting(NftSettings(old_policy="rising"))
    setting.editor.set(1.0, 2.0)
    with setting.algorithm.drawing(setting.models):
        assert setting.editor.module["slope"].item() == pytest.approx(-0.4)
    assert setting.editor.module["slope"].item() == 1.0
    assert setting.algorithm.finish_step(0) == {"policy/old_share": 0.001}
    with setting.algorithm.drawing(setting.models):
        expected = -0.4 * 0.001 + 1.0 * 0.999
        assert setting.editor.module["slope"].item() == pytest.approx(expected)


def test_schedules_of_nfts_old_policy():
    steps = (1, 75, 76, 100, 600)
    shares = {
        name: [NftSettings(old_policy=name).old_share(step) for step in steps]
        for name in ("rising", "late", "newest")
    }
    assert shares["rising"] == pytest.approx([0.001, 0.075, 0.076, 0.1, 0.5])
    assert shares["late"] == pytest.approx([0, 0, 0.0075, 0.1875, 0.999])
    assert shares["newest"] == [0] * 5


def test_awm_by_hand():
    setting = Setting(AwmSettings(clip_range=0.001, average_kl_weight=0.3))
    setting.editor.set(-0.39, 0.31)
    setting.average.follow(0.5)
    noised = setting.algorithm.noised(setting.batch, 1)
    x, target = noised.latents, noised.noise - noised.finished

    def velocity(slope, offset):
        return -(slope * x + offset)

    def log_prob(slope, offset):
        return -(velocity(slope, offset) - target).square().flatten(1).mean(1)

    ratio = (log_prob(-0.39, 0.31) - log_prob(-0.4, 0.3)).exp()
    clipped = ratio.clamp(0.999, 1.001)
    expected = torch.maximum(-OF_EDITS * ratio, -OF_EDITS * clipped)
    average = velocity(-0.395, 0.305)
    expected += 0.3 * (velocity(-0.39, 0.31) - average).square().flatten(1).mean(1)
    assert torch.allclose(setting.terms()[1].loss_B, expected)


@pytest.mark.parametrize("name", ["nft", "awm"])
def test_matching_noise_is_that_of_the_edit_and_the_time(name):
    setting = Setting(ALGORITHMS[name])
    first, again, other = (setting.algorithm.noised(setting.batch, one).noise for one in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({float(one.flatten()[0]) for one in first}) == 4
    assert [setting.algorithm.noised(setting.batch, one).time for one in range(4)] == (
        pytest.approx([0, 0.2, 0.4, 0.6])
    )


def test_times_are_drawn_for_each_step_from_the_noisier_share():
    settings = NftSettings(num_times=2, noisiest_share=0.5)
    plans = [settings.plan(11, step, 5) for step in range(40)]
    assert all(len(set(plan)) == 2 and max(plan) < 5 for plan in plans)
    assert {number for plan in plans for number in plan} == set(range(5))
    assert settings.plan(11, 7, 5) == plans[7]
    assert NftSettings().plan(6, 0, 5) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("moved", [(-0.4, 0.3), (-0.37, 0.35)])
def test_one_region_that_covers_the_picture_is_the_algorithm_without_regions(name, moved):
    setting = Setting(ALGORITHMS[name])
    setting.editor.set(*moved)
    places = OF_EDITS.view(4, 1, 1).expand(4, 2, 3)
    mapped = Advantages(OF_EDITS, COUNTS, setting.editor.spread(places, None))
    plain = Advantages(OF_EDITS, COUNTS)
    for one, other in zip(setting.terms(plain), setting.terms(mapped), strict=True):
        assert torch.equal(one.loss_B, other.loss_B)
    assert torch.equal(setting.gradient(plain), setting.gradient(mapped))


def test_in_float32_as_well():
    places = torch.tensor([0.1, -1 / 3, 5.0]).view(3, 1, 1, 1).expand(3, 1, 7, 11)
    positive, negative = parts_of(Advantages(places[:, 0, 0, 0], COUNTS[:3], places))
    assert positive.advantage_B.tolist() == [places[0, 0, 0, 0].item(), 0, 5]
    assert negative.advantage_B.tolist() == [0, places[1, 0, 0, 0].item(), 0]
    assert positive.weights[0].eq(1).all()
    assert negative.weights[1].eq(1).all()


def test_places_weigh_the_log_ratio_of_their_positions():
    setting = Setting(FlowGrpoSettings(clip_low=1.0, clip_high=1.0, kl_weight=0.0))
    places = torch.randn(4, 2, 3, generator=generator(5), dtype=torch.float64)
    mapped = Advantages(OF_EDITS, COUNTS, setting.editor.spread(places, None))
    # To first order the objective is the mean of advantage times log-ratio over positions.
    number = 1
    term = setting.terms(mapped)[number]
    weights = list(setting.editor.module.values())
    found = torch.autograd.grad(term.loss_B.sum(), weights)
    now = setting.algorithm._transition(setting.editor, setting.batch, number)
    apart = (setting.batch.rollout.after[number] - now.mean) / now.deviation
    by_position = (-0.5 * apart.square()).mean(dim=1)
    expected = torch.autograd.grad(-(places * by_position).mean(dim=(1, 2)).sum(), weights)
    for one, other in zip(found, expected, strict=True):
        assert float(one) == pytest.approx(float(other), rel=1e-9)


@pytest.mark.parametrize("name", ["nft", "awm"])
def test_places_weigh_the_loss_of_their_positions(name):
    setting = Setting(ALGORITHMS[name])
    # Of no advantage in the one half and of all in the other, the gradient is the other half's.
    half = torch.zeros(4, 2, 3, dtype=torch.float64)
    half[:, 0] = 5.0
    rest = torch.zeros(4, 2, 3, dtype=torch.float64)
    rest[:, 1] = 5.0
    both = half + rest
    gradients = [
        setting.gradient(Advantages(OF_EDITS, COUNTS, setting.editor.spread(one, None)))
        for one in (half, rest, both)
    ]
    assert torch.allclose(gradients[0] + gradients[1], gradients[2])
    assert not torch.allclose(gradients[0], gradients[1])
