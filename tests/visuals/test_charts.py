from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from spatialreward.visuals.charts import (
    Point,
    _running_mean,
    curve_panels,
    figure_with_intervals,
    reliability_diagram,
    reward_curve,
)


def test_a_curve_is_a_picture_with_its_colours_on_it():
    image = reward_curve({"served": [0.1, 0.5, 0.9]}, "Reward")
    assert (image.mode, image.size) == ("RGB", (960, 540))
    assert (0, 114, 178) in {colour for _, colour in image.getcolors(10**6)}


@pytest.mark.parametrize(
    "line", [[0.5], [0.5] * 3, [float("nan"), 0.5, float("nan")], [0.1, 0.2] * 200]
)
def test_short_flat_gappy_and_long_lines_are_drawn(line):
    assert reward_curve({"a": line, "b": []}, "Reward in $ and _").size == (960, 540)


@pytest.mark.parametrize("values", [{}, {"a": []}, {"a": [float("nan")]}])
def test_nothing_to_draw_is_an_error(values):
    with pytest.raises(ValueError, match="at least one finite value"):
        reward_curve(values, "Reward")


def test_the_running_mean_is_the_mean_of_the_last_five():
    series = np.arange(8.0)
    assert _running_mean(series).tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 5]


def test_the_running_mean_ignores_what_is_missing():
    mean = _running_mean(np.array([1.0, np.nan, 3.0]))
    assert mean[2] == 2
    assert np.isnan(mean[1])


def test_curves_can_be_drawn_in_threads():
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda n: reward_curve({"a": [n, 1.0]}, "Reward"), range(4)))
    assert len({image.tobytes() for image in images}) == 4


def test_figures_are_drawn_with_and_without_an_interval():
    image = figure_with_intervals({"one": (0.5, (0.4, 0.6)), "_$two": (0.7, None)}, "Accuracy in $")
    assert {(0, 114, 178), (213, 94, 0)} <= {colour for _, colour in image.getcolors(10**6)}


def test_a_line_has_the_same_colour_in_every_panel():
    curve = [Point(0, 0.1), Point(5, 0.2, (0.1, 0.3)), Point(10, 0.4, (0.3, 0.5))]
    panels = {"one": {"a": curve, "_$b": curve}, "two": {"_$b": curve}, "three": {"a": curve}}
    image = curve_panels(panels, ("a", "_$b"), x_label="step", y_label="gain")
    assert {(0, 114, 178), (213, 94, 0)} <= {colour for _, colour in image.getcolors(10**6)}
    assert curve_panels({"one": panels["two"]}, ("a", "_$b"), x_label="", y_label="").height < 500


def test_reliability_is_drawn_beside_the_diagonal():
    image = reliability_diagram({"one": [(0.55, 0.5), (0.9, 0.95)], "two": [(0.5, 0.5)]}, "Even")
    assert {(0, 114, 178), (213, 94, 0)} <= {colour for _, colour in image.getcolors(10**6)}


@pytest.mark.parametrize("draw", [figure_with_intervals, reliability_diagram])
def test_a_chart_of_nothing_is_an_error(draw):
    with pytest.raises(ValueError, match="expected at least one"):
        draw({}, "Nothing")
