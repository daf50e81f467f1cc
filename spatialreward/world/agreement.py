"""Agreement of a judge with the truth on the order of edits within a group, which RL relies on.

The edits of a group are one editor's for one source and one instruction, so they differ little. The
ceiling shows how much of that is visible: the oracle's order of the same pictures after another
encoding.
"""

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from spatialreward.benchmarks.config import EditorEvaluationConfig
from spatialreward.benchmarks.orders import group_tau
from spatialreward.editors.sampling import draw_edits
from spatialreward.edits import Edit, EditTask
from spatialreward.judges.interface import Judging
from spatialreward.judges.pixels import PixelDifference
from spatialreward.progress import track
from spatialreward.records import Judgement, Scores
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.labelling import edit_task
from spatialreward.world.oracle import oracle_judgement
from spatialreward.world.tiny_editor import TinyEditor

# G groups, N edits of a group

_JPEG_QUALITY = 95
_Value = Callable[[Judgement], float | None]


class AgreementFigures(NamedTuple):
    """Mean Kendall's tau with the oracle within groups of one editor's edits."""

    judge: float
    pixel_difference: float
    """Baseline: how much of the picture differs."""
    ceiling: float
    """The oracle's with itself, on the same pictures as JPEG files."""
    editing_success: float
    """The judge's with the oracle in this score alone; likewise the three below."""
    over_editing: float
    naturalness: float
    artifact_freedom: float


def within_group_agreement(
    rewards_GN: NDArray[np.float64], truths_GN: NDArray[np.float64]
) -> float:
    """Mean over groups of Kendall's tau-b of rewards and truth.

    A group whose edits all have the same truth has no order and does not count. One with fewer than
    two rewards, or with equal rewards, counts as 0: RL gets no signal from it.

    Args:
        rewards_GN: NaN without a judgement.
        truths_GN: the true rewards.

    Returns:
        -1..1; NaN if no group has an order.
    """
    taus = [
        group_tau(rewards_N, truths_N)
        for rewards_N, truths_N in zip(rewards_GN, truths_GN, strict=True)
        if np.ptp(truths_N) > 0
    ]
    return float(np.mean(taus)) if taus else float("nan")


class DrawnGroups(NamedTuple):
    """Edits of one editor, group by group, with the oracle's judgements."""

    edits: list[Edit]
    truth: list[Judgement]
    again: list[Judgement]
    """The oracle's judgements of the same pictures as JPEG files."""
    num_groups: int


def draw_groups(editor: Path, world: DataConfig, config: EditorEvaluationConfig) -> DrawnGroups:
    """Draw groups of edits with an editor.

    Args:
        editor: checkpoint of the editor before RL.
        world: its held-out stream provides sources and instructions.
        config: number and size of the groups, and sampling.
    """
    samples = list(draw_samples(world, "heldout", config.num_groups))
    tasks = [edit_task(sample) for sample in samples]
    photos = Path(world.photos) if world.photos else None
    groups = _draw_groups(TinyEditor.load(editor), tasks, config)
    truth, again = (
        [
            oracle_judgement(sample.world, seen(one), photos)
            for sample, pictures in zip(samples, groups, strict=True)
            for one in pictures
        ]
        for seen in (_as_it_is, _as_jpeg)
    )
    edits = [
        Edit.of(task, picture)
        for task, pictures in zip(tasks, groups, strict=True)
        for picture in pictures
    ]
    return DrawnGroups(edits, truth, again, len(groups))


def agreement_figures(groups: DrawnGroups, judging: Judging) -> AgreementFigures:
    """Compare a judge's order within groups with the oracle's."""
    judged, differing = (judge.judge(groups.edits) for judge in (judging, PixelDifference()))

    def agreement(given: Sequence[Judgement], value: _Value) -> float:
        values_GN, truths_GN = (
            np.array([value(one) for one in judgements], dtype=float).reshape(groups.num_groups, -1)
            for judgements in (given, groups.truth)
        )
        return within_group_agreement(values_GN, truths_GN)

    return AgreementFigures(
        judge=agreement(judged, _reward),
        pixel_difference=agreement(differing, _reward),
        ceiling=agreement(groups.again, _reward),
        **{name: agreement(judged, partial(_score, name)) for name in Scores.model_fields},
    )


def _reward(judgement: Judgement) -> float | None:
    return judgement.reward


def _score(name: str, judgement: Judgement) -> float | None:
    """A score as it enters the reward; None becomes NaN in an array."""
    return getattr(judgement.soft_scores or judgement.scores, name, None)


def _draw_groups(
    editor: TinyEditor, tasks: Sequence[EditTask], config: EditorEvaluationConfig
) -> list[list[Image.Image]]:
    generator = torch.Generator().manual_seed(config.seed)
    groups = []
    for task in track(tasks, total=len(tasks), description="drawing groups of edits"):
        condition = editor.encode([task]).repeat(config.group_size)
        finished = draw_edits(editor, condition, config.denoising, generator)
        groups.append(editor.decode(finished, condition))
    return groups


def _as_it_is(picture: Image.Image) -> Image.Image:
    return picture


def _as_jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    return Image.open(file).convert("RGB")
