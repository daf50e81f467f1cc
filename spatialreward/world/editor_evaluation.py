"""Compares two editors, by the oracle of the generated world or by a judge."""

import itertools
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy import stats

from spatialreward.benchmarks.config import EditorEvaluationConfig
from spatialreward.editors.config import AdaptationConfig, DenoisingConfig
from spatialreward.editors.interface import FlowEditor
from spatialreward.editors.load import open_editor
from spatialreward.editors.lora_files import lora_path
from spatialreward.editors.sampling import draw_edits
from spatialreward.edits import Edit, EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.judges.interface import Judging
from spatialreward.progress import track
from spatialreward.records import Judgement
from spatialreward.rl.portions import Prompt, divided
from spatialreward.rl.prompts import open_named
from spatialreward.visuals import SheetRow
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.labelling import edit_task
from spatialreward.world.oracle_judge import Oracle

logger = logging.getLogger(__name__)

_ROWS_ON_A_SHEET = 12


class EditorFigures(NamedTuple):
    """Two editors on the same held-out instructions and the same initial noise."""

    oracle_reward_before: float
    """NaN, as ``after``, if the truth is unknown."""
    oracle_reward_after: float
    gain: float
    """Mean of the paired differences of the oracle's rewards, or else of the judge's."""
    gain_ci95_low: float
    """Bootstrap over instructions (bias-corrected and accelerated)."""
    gain_ci95_high: float
    served_reward_before: float
    """Mean reward by the judge, over the edits it judged; NaN without a judge."""
    served_reward_after: float


class EditorComparison(NamedTuple):
    """Figures, and pictures for inspection."""

    figures: EditorFigures
    rows_before: list[SheetRow]
    rows_after: list[SheetRow]


def compare_editors(
    before: Path,
    after: Path,
    world: DataConfig,
    config: EditorEvaluationConfig,
    judging: Judging | None,
    adaptation: AdaptationConfig = AdaptationConfig(),  # noqa: B008 - frozen
    cache: Path | None = None,
) -> EditorComparison:
    """Run two editors on the same held-out instructions, and score the results.

    The oracle scores tasks of the generated world, whose truth it knows; the judge scores others,
    and tasks with an edit without a judgement do not count for the gain.

    Args:
        before: checkpoint of one editor.
        after: checkpoint of the other; for a LoRA, ``before`` is its base. If both are LoRAs, their
            cards name the bases.
        world: its held-out stream provides sources and instructions if ``config`` names none.
        config: selection and number of prompts, and sampling.
        judging: a judge to show beside the oracle; None for the oracle alone.
        adaptation: how to load editors with published weights.
        cache: folder for data sets from the object store; default: the user's.

    Raises:
        InvalidInputError: an editor, the tasks or the judge are missing or unusable.
        ServingError: a served judge is unreachable.
    """
    tasks, oracle = _tasks(config, world, cache)
    if oracle is None and judging is None:
        raise InvalidInputError(
            f"evaluation.prompts {config.prompts}: their truth is unknown, and no judge is given; "
            "pass a judge"
        )
    edits: list[list[Edit]] = []
    base = before if lora_path(before) is None else None
    # Refuse a LoRA for another base before drawing anything.
    for name, folder in (("after", after), ("before", before)):
        editor = open_editor(folder, adaptation, base=base)
        drawn = edit_tasks(
            editor,
            tasks,
            config.denoising,
            config.seed,
            at_a_time=config.edits_at_a_time,
            description=f"editing ({name})",
        )
        edits.append(drawn)
    edits.reverse()
    served = [judging.judge(some) if judging else None for some in edits]
    known = [oracle.judge(some) if oracle else None for some in edits]
    scoring = served if oracle is None else known
    rewards_2N = np.array([[one.reward for one in some or ()] for some in scoring], dtype=float)
    figures = EditorFigures(
        *map(_mean_reward, known),
        *_gain(rewards_2N[1] - rewards_2N[0], config),
        *map(_mean_reward, served),
    )
    return EditorComparison(
        figures,
        *(_rows(*both) for both in zip(edits, served, known, strict=True)),
    )


def _tasks(
    config: EditorEvaluationConfig, world: DataConfig, cache: Path | None
) -> tuple[list[EditTask], Oracle | None]:
    """The tasks, and the oracle if it knows their truth."""
    if config.prompts:
        return open_named(config.prompts, 1, cache).last(config.num_instructions), None
    samples = draw_samples(world, "heldout", config.num_instructions)
    return list(map(edit_task, samples)), Oracle(Path(world.photos) if world.photos else None)


def _gain(differences_N: np.ndarray, config: EditorEvaluationConfig) -> tuple[float, float, float]:
    """Mean and interval of the present values; NaN without any."""
    found_N = differences_N[np.isfinite(differences_N)]
    if left_out := len(differences_N) - len(found_N):
        logger.warning("%d of %d pairs of edits were not judged", left_out, len(differences_N))
    if not len(found_N):
        return (float("nan"),) * 3
    interval = bootstrap_interval(found_N, config.num_bootstrap_samples, config.seed)
    return float(found_N.mean()), *interval


def edit_tasks(
    editor: FlowEditor,
    tasks: Sequence[EditTask],
    denoising: DenoisingConfig,
    seed: int,
    *,
    at_a_time: int,
    description: str,
) -> list[Edit]:
    """One edit of each task by the ODE, in their order.

    Args:
        editor: the editor.
        tasks: give sources and instructions.
        denoising: the steps.
        seed: of the initial noise.
        at_a_time: most edits drawn together.
        description: of the progress.
    """
    generator = torch.Generator().manual_seed(seed)
    numbered = [Prompt(number, task) for number, task in enumerate(tasks)]
    portions = list(divided(numbered, at_a_time))
    pictures: dict[int, Image.Image] = {}
    for portion in track(portions, total=len(portions), description=description):
        condition = editor.encode([one.task for one in portion])
        drawn = editor.decode(draw_edits(editor, condition, denoising, generator), condition)
        pictures |= zip((one.number for one in portion), drawn, strict=True)
    return [Edit.of(task, pictures[number]) for number, task in enumerate(tasks)]


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


def _mean_reward(judgements: Iterable[Judgement] | None) -> float:
    rewards = [one.reward for one in judgements or () if one.reward is not None]
    return float(np.mean(rewards)) if rewards else float("nan")


def _rows(
    edits: Sequence[Edit],
    served: Sequence[Judgement] | None,
    known: Sequence[Judgement] | None,
) -> list[SheetRow]:
    """The first edits, with the judge's judgement if any, and the truth where known."""
    truths = known or [None] * len(edits)
    together = zip(edits, served or known or (), truths, strict=True)
    return [
        SheetRow(edit.source, edit.edited, edit.instruction, judgement, truth)
        for edit, judgement, truth in itertools.islice(together, _ROWS_ON_A_SHEET)
    ]
