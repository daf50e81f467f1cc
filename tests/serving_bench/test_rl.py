import pytest

from serving.bench.rl import Effort, Step, _figures, measure

SMALL = Effort(
    rounds=1, num_prompts=2, group_size=2, denoising_steps=4, window=1, width=16, layers=1
)


def test_every_figure_is_measured_in_one_run():
    figures, more = measure(SMALL)
    named = {figure.name: figure for figure in figures}
    assert 0 < named["step/share_of_sequential"].value
    assert named["step/share_of_sequential"].target == 0.6
    assert named["update/speed_over_plain_loop"].value > 0
    [sequential], [overlapped] = more["sequential"], more["in_background"]
    assert sequential["judging"] > 0
    assert overlapped["whole"] > 0
    assert len(more["plain_update_s"]) == 1


def test_figures_by_hand():
    sequential = [Step(10.0, 4.0, 4.0, 2.0)] * 3
    overlapped = [Step(6.0, 4.0, 4.0, 2.0), Step(5.0, 4.0, 4.0, 1.0), Step(7.0, 4.0, 4.0, 2.0)]
    effort = Effort(num_prompts=2, group_size=5, window=2)
    named = {one.name: one for one in _figures(effort, sequential, overlapped, [2.0, 4.0, 1.0])}
    assert named["step/share_of_sequential"].value == pytest.approx(0.6)
    assert named["step/share_of_sequential"].reached
    assert named["step/share_of_sequential"].spread == pytest.approx((0.5, 0.7))
    assert named["step/limit_with_this_update"].value == pytest.approx(0.6)
    assert named["update/edit_steps_per_s"].value == pytest.approx(10)
    assert named["update/speed_over_plain_loop"].value == pytest.approx(1)
