"""Charts of rewards, figures and reliability, without matplotlib's global state: thread-safe."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SMOOTH_FROM = 20
_DOTS_PER_INCH = 120
_COLUMNS = 3
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
    figure, axes = _empty(title)
    for position, (name, line) in enumerate(values.items()):
        label = _label(name)
        series, colour = np.asarray(line, dtype=float), _COLOURS[position % len(_COLOURS)]
        steps = np.arange(len(series))
        if len(series) < _SMOOTH_FROM:
            axes.plot(steps, series, color=colour, marker="o", markersize=4, label=label)
        else:
            axes.plot(steps, series, color=colour, alpha=0.3, linewidth=1)
            label = f"{label}, mean of the last {_window(len(series))}"
            axes.plot(steps, _running_mean(series), color=colour, linewidth=2, label=label)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(values) > 1 or max(map(len, values.values())) >= _SMOOTH_FROM:
        axes.legend(frameon=False)
    return _drawn(figure)


class Bar(NamedTuple):
    """A value, and the interval in which it is thought to lie."""

    value: float
    interval: tuple[float, float] | None = None


def bar_panels(panels: Mapping[str, Mapping[str, Sequence[Bar | None]]]) -> Image.Image:
    """Draw one panel a title, three in a row: one group of bars a name, side by side.

    Where there is None, there is room and no bar.
    """
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(13, 3.6 * rows), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, groups) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, _COLUMNS, place)
        for group, bars in enumerate(groups.values()):
            width = _GROUP_WIDTH / len(bars)
            for number, bar in enumerate(bars):
                if bar is None:
                    continue
                x = group + (number - (len(bars) - 1) / 2) * width
                axes.bar(x, bar.value, width * 0.9, color=_COLOURS[group % len(_COLOURS)])
                if bar.interval is not None:
                    axes.vlines(x, *bar.interval, color="black", linewidth=1.2)
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axes.set_xticks(range(len(groups)), groups, rotation=20, fontsize=8)
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return _drawn(figure)


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
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(13, 4 * rows), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    first: Axes | None = None
    for place, (title, curves) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, 2, place, sharex=first, sharey=first)
        first = first or axes
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
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return _drawn(figure)


def figure_with_intervals(
    values: Mapping[str, tuple[float, tuple[float, float] | None]], title: str
) -> Image.Image:
    """Draw one point a name, with its interval where there is one.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not values:
        raise ValueError(f"{title}: expected at least one figure to draw, got none")
    figure, axes = _empty(title)
    for position, (value, interval) in enumerate(values.values()):
        colour = _COLOURS[position % len(_COLOURS)]
        axes.plot(value, position, color=colour, marker="o", markersize=6)
        if interval is not None:
            axes.plot(interval, (position, position), color=colour, linewidth=2)
    axes.set_yticks(range(len(values)), [_label(name) for name in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel("95 % intervals over prompts")
    return _drawn(figure)


def reliability_diagram(
    curves: Mapping[str, Sequence[tuple[float, float]]], title: str
) -> Image.Image:
    """Draw what was predicted and what came true, one line a name; even is the diagonal.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not curves:
        raise ValueError(f"{title}: expected at least one line to draw, got none")
    figure, axes = _empty(title)
    low = min(predicted for curve in curves.values() for predicted, _ in curve)
    axes.plot((min(low, 0.5), 1), (min(low, 0.5), 1), color="0.7", linestyle="--", linewidth=1)
    for position, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[position % len(_COLOURS)]
        x, y = zip(*curve, strict=True)
        axes.plot(x, y, color=colour, marker="o", markersize=4, label=_label(name))
    axes.set_xlabel("predicted, mean of a bin")
    axes.set_ylabel("true, mean of a bin")
    axes.legend(frameon=False)
    return _drawn(figure)


def _empty(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 4.5), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title.replace("$", r"\$"), loc="left", fontweight="bold")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _label(name: str) -> str:
    # A leading underscore would hide the name from the legend, dollars would be mathematics.
    return name.lstrip("_").replace("$", r"\$")


def _drawn(figure: Figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def _window(num_steps: int) -> int:
    return max(5, num_steps // 10)


def _running_mean(series: np.ndarray) -> np.ndarray:
    """Mean of the last tenth of the steps, at least five; what is missing does not count."""
    window = _window(len(series))
    finite = np.isfinite(series)
    total = np.cumsum(np.where(finite, series, 0.0))
    count = np.cumsum(finite)
    total[window:] -= total[:-window].copy()
    count[window:] -= count[:-window].copy()
    return np.where(finite, total / np.maximum(count, 1), np.nan)
