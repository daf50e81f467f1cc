"""Charts of rewards, figures and reliability in one style.

The style is set on each figure, without matplotlib's global state: charts are drawn in threads.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SMOOTH_FROM = 20
_GROUP_WIDTH = 0.8


def reward_curve(
    values: Mapping[str, Sequence[float]],
    title: str,
    *,
    x_label: str = "step",
    y_label: str = "reward",
) -> Image.Image:
    """Draw one line a name, a value a step; NaN leaves a gap.

    A line of twenty values or more is drawn faintly, with its running mean over it.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not any(math.isfinite(value) for line in values.values() for value in line):
        raise ValueError(f"{title}: expected at least one finite value to draw, got none")
    figure, (axes,) = panels_of([title])
    for name, line in values.items():
        steps, label = range(len(line)), _label(name)
        if len(line) < _SMOOTH_FROM:
            axes.plot(steps, line, marker="o", markersize=4, label=label)
        else:
            (faint,) = axes.plot(steps, line, alpha=0.3, linewidth=1)
            label = f"{label}, mean of the last {_window(len(line))}"
            mean = _running_mean(np.asarray(line, dtype=float))
            axes.plot(steps, mean, color=faint.get_color(), linewidth=2, label=label)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(values) > 1 or max(map(len, values.values())) >= _SMOOTH_FROM:
        axes.legend(frameon=False)
    return picture_of(figure)


class Bar(NamedTuple):
    """A value, and the interval in which it is thought to lie."""

    value: float
    interval: tuple[float, float] | None = None


def bar_panels(panels: Mapping[str, Mapping[str, Sequence[Bar | None]]]) -> Image.Image:
    """Draw one panel a title, three in a row: one group of bars a name, side by side.

    Where there is None, there is room and no bar.
    """
    figure, grid = panels_of(list(panels), columns=3, size_in=(13 / 3, 3.6), font_size=10)
    for axes, groups in zip(grid, panels.values(), strict=True):
        for group, bars in enumerate(groups.values()):
            width = _GROUP_WIDTH / len(bars)
            for number, bar in enumerate(bars):
                if bar is None:
                    continue
                x = group + (number - (len(bars) - 1) / 2) * width
                axes.bar(x, bar.value, width * 0.9, color=_COLOURS[group % len(_COLOURS)])
                if bar.interval is not None:
                    axes.vlines(x, *bar.interval, color="black", linewidth=1.2)
        axes.set_xticks(range(len(groups)), groups, rotation=20, fontsize=8)
    return picture_of(figure)


class Point(NamedTuple):
    """A value at a place of the other axis, and the interval in which it is thought to lie."""

    x: float
    value: float
    interval: tuple[float, float] | None = None


Curve = Sequence[Point]


def curve_panels(
    panels: Mapping[str, Mapping[str, Curve]],
    names: Sequence[str],
    *,
    x_label: str,
    y_label: str,
) -> Image.Image:
    """Draw one panel a title, two in a row, with one line a name and its intervals as a band.

    Args:
        panels: by title, and by name; all on one scale.
        names: of all lines; a name has the same colour in every panel.
        x_label: of every panel.
        y_label: of every panel.
    """
    figure, grid = panels_of(list(panels), columns=2, size_in=(6.5, 4), font_size=10)
    for axes, curves in zip(grid, panels.values(), strict=True):
        if axes is not grid[0]:
            axes.sharex(grid[0])
            axes.sharey(grid[0])
        for name, curve in curves.items():
            number = list(names).index(name)
            colour = _COLOURS[number % len(_COLOURS)]
            style = "--" if number >= len(_COLOURS) else "-"
            x, values = ([getattr(one, field) for one in curve] for field in ("x", "value"))
            axes.plot(x, values, style, color=colour, linewidth=2, label=_label(name))
            known = [one for one in curve if one.interval is not None]
            low, high = ([one.interval[end] for one in known] for end in (0, 1))
            axes.fill_between([one.x for one in known], low, high, color=colour, alpha=0.15)
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(frameon=False, fontsize=8)
    return picture_of(figure)


def figure_with_intervals(
    values: Mapping[str, tuple[float, tuple[float, float] | None]], title: str
) -> Image.Image:
    """Draw one point a name, with its interval where there is one.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not values:
        raise ValueError(f"{title}: expected at least one figure to draw, got none")
    figure, (axes,) = panels_of([title])
    for position, (value, interval) in enumerate(values.values()):
        (point,) = axes.plot(value, position, marker="o", markersize=6)
        if interval is not None:
            axes.hlines(position, *interval, color=point.get_color(), linewidth=2)
    axes.set_yticks(range(len(values)), [_label(name) for name in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel("95 % intervals over prompts")
    return picture_of(figure)


def reliability_diagram(
    curves: Mapping[str, Sequence[tuple[float, float]]], title: str
) -> Image.Image:
    """Draw what was predicted and what came true, one line a name; even is the diagonal.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not curves:
        raise ValueError(f"{title}: expected at least one line to draw, got none")
    figure, (axes,) = panels_of([title])
    low = min(predicted for curve in curves.values() for predicted, _ in curve)
    axes.plot((min(low, 0.5), 1), (min(low, 0.5), 1), color="0.7", linestyle="--", linewidth=1)
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), marker="o", markersize=4, label=_label(name))
    axes.set(xlabel="predicted, mean of a bin", ylabel="true, mean of a bin")
    axes.legend(frameon=False)
    return picture_of(figure)


def panels_of(
    titles: Sequence[str],
    *,
    columns: int = 1,
    size_in: tuple[float, float] = (8, 4.5),
    font_size: float = 12,
) -> tuple[Figure, list[Axes]]:
    """A figure of one panel a title, in the style of all charts.

    Args:
        titles: of the panels, in rows of ``columns``.
        columns: how many panels stand beside each other.
        size_in: width and height of a panel in inches.
        font_size: of the titles, in points.
    """
    rows = -(-len(titles) // columns)
    width, height = size_in
    figure = Figure(figsize=(width * columns, height * rows), dpi=120, layout="constrained")
    grid = []
    for place, title in enumerate(titles, 1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_prop_cycle(color=_COLOURS)
        axes.set_title(title.replace("$", r"\$"), loc="left", fontweight="bold", fontsize=font_size)
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        grid.append(axes)
    return figure, grid


def picture_of(figure: Figure) -> Image.Image:
    """A figure, drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _label(name: str) -> str:
    # A leading underscore would hide the name from the legend, dollars would be mathematics.
    return name.lstrip("_").replace("$", r"\$")


def _window(num_steps: int) -> int:
    return max(5, num_steps // 10)


def _running_mean(series: np.ndarray) -> np.ndarray:
    """Mean of the last tenth of the steps, at least five; what is missing does not count."""
    before = np.full(_window(len(series)) - 1, np.nan)
    windows = sliding_window_view(np.append(before, series), len(before) + 1)
    mean = np.ma.masked_invalid(windows).mean(axis=1).filled(np.nan)
    return np.where(np.isfinite(series), mean, np.nan)
