"""How much better one editor is than another, by the oracle of the generated world."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy import stats

from spatialreward.benchmarks.config import EditorEvaluationConfig
from spatialreward.editors.config import DenoisingConfig
from spatialreward.editors.interface import FlowEditor
from spatialreward.editors.sampling import draw_edits
from spatialreward.edits import Edit
from spatialreward.judges.interface import Judging
from spatialreward.progress import track
from spatialreward.records import Judgement
from spatialreward.visuals import SheetRow
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.labelling import edit_task
from spatialreward.world.oracle import oracle_judgement
from spatialreward.world.samples import SceneSample
from spatialreward.world.tiny_editor import TinyEditor

_BATCH = 64
_ROWS_ON_A_SHEET = 12


class EditorFigures(NamedTuple):
    """Two editors on the same held-out instructions and the same starting noise."""

    oracle_reward_before: float
    oracle_reward_after: float
    gain: float
    """Mean of the paired differences of the oracle's rewards."""
    gain_ci95_low: float
    """Bootstrap over instructions (bias-corrected and accelerated)."""
    gain_ci95_high: float
    served_reward_before: float
    """Mean reward by the judge that was asked, over what it judged; NaN without one."""
    served_reward_after: float


class EditorComparison(NamedTuple):
    """Figures, and what there is to look at."""

    figures: EditorFigures
    rows_before: list[SheetRow]
    rows_after: list[SheetRow]


def compare_editors(
    before: Path,
    after: Path,
    world: DataConfig,
    config: EditorEvaluationConfig,
    judging: Judging | None,
) -> EditorComparison:
    """Have two editors carry out held-out instructions and see what the oracle makes of it.

    Args:
        before: checkpoint of one editor.
        after: checkpoint of the other.
        world: its held-out stream gives sources and instructions.
        config: how many, and how they are drawn.
        judging: a judge whose opinion is shown beside the oracle's; None for the oracle's alone.
    """
    samples = list(draw_samples(world, "heldout", config.num_instructions))
    photos = Path(world.photos) if world.photos else None
    edits, oracles, served = [], [], []
    for name, folder in (("before", before), ("after", after)):
        pictures = edit_samples(
            TinyEditor.load(folder),
            samples,
            config.denoising,
            config.seed,
            description=f"editing ({name})",
        )
        edits.append(pictures)
        oracles.append(
            [
                oracle_judgement(sample.world, picture, photos)
                for sample, picture in zip(samples, pictures, strict=True)
            ]
        )
        served.append(_judge(judging, samples, pictures) if judging else None)
    rewards_2N = np.array([[one.reward for one in judged] for judged in oracles], dtype=float)
    differences = rewards_2N[1] - rewards_2N[0]
    low, high = bootstrap_interval(differences, config.num_bootstrap_samples, config.seed)
    figures = EditorFigures(
        oracle_reward_before=float(rewards_2N[0].mean()),
        oracle_reward_after=float(rewards_2N[1].mean()),
        gain=float(differences.mean()),
        gain_ci95_low=low,
        gain_ci95_high=high,
        served_reward_before=_mean_reward(served[0]),
        served_reward_after=_mean_reward(served[1]),
    )
    rows = [
        _rows(samples, pictures, judged or known, known)
        for pictures, judged, known in zip(edits, served, oracles, strict=True)
    ]
    return EditorComparison(figures, *rows)


def edit_samples(
    editor: FlowEditor,
    samples: Sequence[SceneSample],
    denoising: DenoisingConfig,
    seed: int,
    *,
    description: str,
) -> list[Image.Image]:
    """One edit of each sample by the ODE, from noise that follows from the seed and its place.

    Args:
        editor: that edits.
        samples: give sources and instructions.
        denoising: the steps.
        seed: of the starting noise.
        description: of the progress.
    """
    generator = torch.Generator().manual_seed(seed)
    pictures: list[Image.Image] = []
    starts = range(0, len(samples), _BATCH)
    for start in track(starts, total=len(starts), description=description):
        batch = samples[start : start + _BATCH]
        condition = editor.encode([edit_task(sample) for sample in batch])
        drawn = draw_edits(editor, condition, denoising, generator)
        pictures += editor.decode(drawn, condition)
    return pictures


def bootstrap_interval(
    differences_N: np.ndarray, num_samples: int, seed: int
) -> tuple[float, float]:
    """95 % interval of the mean, by resampling with replacement."""
    if np.ptp(differences_N) == 0:
        return float(differences_N[0]), float(differences_N[0])
    result = stats.bootstrap(
        (differences_N,),
        np.mean,
        n_resamples=num_samples,
        confidence_level=0.95,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _judge(
    judging: Judging, samples: Sequence[SceneSample], pictures: Sequence[Image.Image]
) -> list[Judgement]:
    return judging.judge(
        [
            Edit.of(edit_task(sample), picture)
            for sample, picture in zip(samples, pictures, strict=True)
        ]
    )


def _mean_reward(judgements: Sequence[Judgement] | None) -> float:
    rewards = [one.reward for one in judgements or () if one.reward is not None]
    return float(np.mean(rewards)) if rewards else float("nan")


def _rows(
    samples: Sequence[SceneSample],
    pictures: Sequence[Image.Image],
    judgements: Sequence[Judgement],
    oracles: Sequence[Judgement],
) -> list[SheetRow]:
    together = zip(samples, pictures, judgements, oracles, strict=True)
    return [
        SheetRow(sample.images()[0], picture, sample.instruction, judgement, oracle)
        for sample, picture, judgement, oracle in list(together)[:_ROWS_ON_A_SHEET]
    ]
