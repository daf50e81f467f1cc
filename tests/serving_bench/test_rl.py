import pytest

from serving.bench.rl import Effort, Step, Updates, _figures, measure
from serving.bench.rl_update import UpdateEffort

SMALL = Effort(
    rounds=1,
    num_prompts=2,
    group_size=2,
    denoising_steps=4,
    window=1,
    width=16,
    layers=1,
    update=UpdateEffort(num_prompts=1, group_size=2, window=1, side=64, heads=1, layers=1),
)


def test_every_figure_is_measured_in_one_run():
    figures, more = measure(SMALL)
    named = {figure.name: figure for figure in figures}
    assert named["step/share_of_sequential"].value > 0
    assert named["step/share_of_sequential"].target == 0.6
    assert named["update/speed_over_plain_loop"].value > 0
    [sequential], [overlapped] = more["sequential"], more["in_background"]
    assert sequential["judging"] > 0
    assert overlapped["whole"] > 0
    [update] = more["updates"]
    assert update["ours"] > 0
    assert update["plain"] > 0


def test_figures_by_hand():
    sequential = [Step(10.0, 4.0, 4.0, 2.0)] * 3
    overlapped = [Step(6.0, 4.0, 4.0, 2.0), Step(5.0, 4.0, 4.0, 1.0), Step(7.0, 4.0, 4.0, 2.0)]
    # 2 edits of 10 x 10 pixels, of each of which 2 steps are trained
    effort = Effort(update=UpdateEffort(num_prompts=1, group_size=2, window=2, side=10))
    updates = [Updates(2.0, 2.0), Updates(2.0, 4.0), Updates(2.0, 1.0)]
    named = {one.name: one for one in _figures(effort, sequential, overlapped, updates)}
    assert named["step/share_of_sequential"].value == pytest.approx(0.6)
    assert named["step/share_of_sequential"].reached
    assert named["step/share_of_sequential"].spread == pytest.approx((0.5, 0.7))
    assert named["step/limit_with_this_update"].value == pytest.approx(0.6)
    assert named["update/pixels_per_s"].value == pytest.approx(200)
    assert named["update/speed_over_plain_loop"].value == pytest.approx(1)
