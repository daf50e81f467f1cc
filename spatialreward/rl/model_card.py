"""The model card of a fine-tuned editor: training data, curves, and cost.

``README.md`` and ``curves.png``, for people, beside ``card.json``, for programs.
"""

import json
import math
import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from spatialreward.visuals.charts import reward_curve

FILE = "README.md"
CURVES = "curves.png"
_CURVES = {
    "reward/mean": "training reward",
    "watch/training_reward": "training reward, held-out prompts",
    "watch/held_out_reward": "held-out judge",
    "watch/oracle_reward": "oracle",
}
"""The plotted curves, by metric."""
_STEPS_OF_A_MEAN = 5
_SUMMED_UP = ("reward/", "watch/", "policy/", "operation/", "regions/")
_TIMES = "time/"


class History:
    """The metrics of all steps so far, part of a training's saved state."""

    def __init__(self) -> None:
        """Start empty."""
        self.lines: list[dict[str, float]] = []
        """One per step, with ``step`` among the metrics."""

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics of a step, or further ones of the last one."""
        if self.lines and self.lines[-1]["step"] == step:
            self.lines[-1] |= metrics
        else:
            self.lines.append({"step": step, **metrics})

    def of(self, step: int) -> dict[str, float]:
        """The metrics of the last step, if its number matches; else empty."""
        if not self.lines or self.lines[-1]["step"] != step:
            return {}
        return {name: value for name, value in self.lines[-1].items() if name != "step"}

    def values(self, name: str) -> list[float]:
        """One metric by step, NaN where it was not reported."""
        return [line.get(name, math.nan) for line in self.lines]

    def state_dict(self) -> dict[str, Any]:
        """The lines."""
        return {"lines": [dict(line) for line in self.lines]}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Load the lines."""
        self.lines = [dict(line) for line in state_dict["lines"]]


def write_model_card(
    folder: Path, card: Mapping[str, object], history: History, device: torch.device
) -> None:
    """Write the card of a checkpoint, and its curves if there are any.

    Args:
        folder: of the checkpoint.
        card: as in ``card.json``; shows ``kind``, ``lineage``, ``rewards`` and ``training`` if
            present, ``rewards`` in the format of ``Rewards.card``.
        history: metrics of the training; those of ``time/`` give a step's cost.
        device: of the training.
    """
    drawn = {
        label: history.values(name)
        for name, label in _CURVES.items()
        if any(map(math.isfinite, history.values(name)))
    }
    if drawn:
        reward_curve(drawn, "Rewards of the training").save(folder / CURVES)
    lines = [
        *_heading(card),
        *_lineage(card),
        *_rewards(card),
        *(["## Curves", "", f"![Rewards by step]({CURVES})", ""] if drawn else []),
        *_figures(history),
        *_cost(history, device),
        *_settings(card),
    ]
    (folder / FILE).write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def hardware(device: torch.device) -> str:
    """The hardware of a training, in words."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        return f"{torch.cuda.device_count()} x {properties.name}, {memory} each"
    return f"{os.cpu_count()} CPU cores, {platform.machine()}"


def _heading(card: Mapping[str, object]) -> Iterator[str]:
    kind = str(card.get("kind", "fine-tuned editor"))
    yield f"# {kind[:1].upper()}{kind[1:]}"
    yield ""
    if card.get("made"):
        yield f"Made on {card['made']}."
        yield ""


def _lineage(card: Mapping[str, Any]) -> Iterator[str]:
    if card.get("lineage"):
        yield from ("## Lineage", "")
        yield from _table(("what", "from"), [[*one] for one in card["lineage"].items()])


def _rewards(card: Mapping[str, Any]) -> Iterator[str]:
    rewards: Sequence[Mapping[str, Any]] = card.get("rewards") or ()
    if not rewards:
        return
    yield from ("## Rewards", "")
    columns = ("name", "weight", "form", "judged_by", "notice")
    rows = [[str(one.get(column, "")) for column in columns] for one in rewards]
    yield from _table(("reward", "weight", "form", "judged by", "note"), rows)


def _figures(history: History) -> Iterator[str]:
    names = dict.fromkeys(name for line in history.lines for name in line)
    rows = []
    for name in sorted(one for one in names if one.startswith(_SUMMED_UP)):
        known = [value for value in history.values(name) if math.isfinite(value)]
        if known:
            first, last = known[:_STEPS_OF_A_MEAN], known[-_STEPS_OF_A_MEAN:]
            rows.append([f"`{name}`", *(f"{statistics.mean(part):.4g}" for part in (first, last))])
    if rows:
        count = _STEPS_OF_A_MEAN
        yield from ("## Figures", "", f"Means of the first and the last {count} reports.", "")
        yield from _table(("metric", "first", "last"), rows)


def _cost(history: History, device: torch.device) -> Iterator[str]:
    yield from ("## Cost", "")
    yield f"- Hardware: {hardware(device)}; torch {torch.__version__}."
    if history.lines:
        yield f"- Steps: {history.lines[-1]['step']:g}."
    names = sorted({name for line in history.lines for name in line if name.startswith(_TIMES)})
    for name in names:
        known = [value for value in history.values(name) if math.isfinite(value)]
        if known:
            what = name.removeprefix(_TIMES).removesuffix("_s").replace("_", " ")
            median = f"{statistics.median(known):.3g} (median)"
            in_seconds = name.endswith("_s")
            yield f"- {f'Seconds a step, {what}' if in_seconds else what.capitalize()}: {median}."
    yield ""


def _settings(card: Mapping[str, object]) -> Iterator[str]:
    if card.get("training"):
        settings = json.dumps(card["training"], indent=2, default=str)
        yield from ("## Settings", "", "```json", settings, "```", "")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join('---' for _ in heads)} |"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
