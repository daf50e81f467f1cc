"""The grounded base: a model that describes scenes, differences and artifacts, and never scores."""

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spatialreward.data.views import Conversation
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.progress import ReportMetrics
from spatialreward.protocol.prompts import TINY
from spatialreward.training.arguments import training_arguments
from spatialreward.training.base import Base
from spatialreward.training.collating import Collator
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.conversations import Planned
from spatialreward.training.fitting import fit
from spatialreward.training.processes import ALONE, Processes
from spatialreward.training.states import States
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample, photo_names
from spatialreward.world.targets import (
    DESCRIBING,
    DescribingTask,
    scene_conversation,
)
from spatialreward.world.tiny_config import GroundingConfig, TaskShares
from spatialreward.world.untrained_judge import untrained_tiny

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration


def build_base(
    config: GroundingConfig,
    data: DataConfig,
    out: Path,
    report: ReportMetrics,
    *,
    evaluate: Callable[["Qwen3VLForConditionalGeneration", Processor], dict[str, float]],
    state_folder: Path,
) -> None:
    """Train a grounded base from noise and write it with its card; about an hour on two cores.

    Args:
        config: length and tasks.
        data: the world to draw from; uses its training stream, never the held-out one.
        out: folder of the checkpoint, weights in 16 bits.
        report: receives the training metrics.
        evaluate: measures the finished model; its figures go into the card.
        state_folder: for periodic states, to resume after a kill.
    """
    import torch

    model, processor = untrained_tiny(config.seed, data)
    seconds = ground(model, processor, config, data, report, state_folder)
    card = {
        "kind": "grounded base: describes scenes, differences, artifacts, requests; never scores",
        "judges": False,
        "trained_on": "generated scenes of this repository's own world; no other data",
        "command": "spatialreward train base",
        "grounding": config.model_dump(),
        "data": data.model_dump(),
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "training_minutes": round(seconds / 60, 1),
        "torch_threads": torch.get_num_threads(),
        "figures": evaluate(model, processor),
    }
    checkpoint.save(out, model.to(torch.bfloat16), processor, card)


def ground(
    model: "Qwen3VLForConditionalGeneration",
    processor: Processor,
    config: GroundingConfig,
    data: DataConfig,
    report: ReportMetrics,
    state_folder: Path,
    processes: Processes = ALONE,
) -> float:
    """Run the grounding stage in place; returns the seconds that it took.

    Raises:
        InvalidInputError: the last state in ``state_folder`` belongs to another grounding.
    """
    settings = JudgeTrainingConfig(
        seed=config.seed, num_samples=_num_samples(config), optimiser=config.optimiser
    )
    states = States(state_folder, {"grounding": config.model_dump(), "data": data.model_dump()})
    fit(
        model,
        training_arguments(settings, settings.num_steps, state_folder, processes.world_size),
        Planned(_Scenes(config, data), np.arange(settings.num_samples)),
        Collator(processor, DESCRIBING),
        matrices=config.optimiser.matrices,
        report=report,
        description="grounding",
        states=states,
    )
    return states.seconds


def grounded_from_noise(
    config: GroundingConfig,
    data: DataConfig,
    report: ReportMetrics,
    out: Path,
    processes: Processes = ALONE,
) -> Base:
    """A tiny judge trained from random weights through the grounding stage, in a folder.

    Reuses an existing one; the first of several processes writes it.
    """
    origin = "random weights, through a grounding stage"
    if processes.from_first(out.is_dir()):
        return Base(out, origin)
    model, processor = untrained_tiny(config.seed, data)
    states = out.with_name(out.name + ".states")
    ground(model, processor, config, data, report, states, processes)
    if processes.is_first:
        unfinished = out.with_name(out.name + ".partial")
        checkpoint.save(unfinished, model, processor, {"kind": "grounded base", "judges": False})
        unfinished.rename(out)
        shutil.rmtree(states)
    processes.wait()
    return Base(out, origin)


def _num_samples(config: GroundingConfig) -> int:
    return sum(count for count, _ in _phases(config))


def _phases(config: GroundingConfig) -> list[tuple[int, TaskShares]]:
    """Samples of each phase, in whole batches, and their tasks."""
    size = config.optimiser.batch_size
    phases = (
        (config.num_scene_samples, TaskShares(differences=0, artifacts=0, scenes=1)),
        (config.num_difference_samples, config.difference_shares),
        (config.num_request_samples, config.request_shares),
    )
    return [(count // size * size, shares) for count, shares in phases]


class _Scenes:
    """Grounding samples by number; each batch has one task."""

    def __init__(self, config: GroundingConfig, data: DataConfig) -> None:
        size = config.optimiser.batch_size
        rng = np.random.default_rng(config.seed)
        self._tasks: list[DescribingTask] = []
        for count, shares in _phases(config):
            chances = [getattr(shares, task) for task in DESCRIBING]
            drawn = rng.choice(len(DESCRIBING), size=count // size, p=chances)
            self._tasks += [DESCRIBING[int(number)] for number in drawn]
        self._size = size
        self._data = data
        # Dense descriptions come first and alone; an artifact would disturb them.
        self._clean = data.model_copy(update={"artifact_share": 0.0})
        self._num_clean = _phases(config)[0][0]
        self._photos = photo_names(Path(data.photos)) if data.photos else ()

    def __len__(self) -> int:
        return len(self._tasks) * self._size

    def __getitem__(self, number: int) -> Conversation:
        data = self._clean if number < self._num_clean else self._data
        sample = draw_sample(data, "train", number, self._photos)
        return scene_conversation(self._tasks[number // self._size], sample, TINY)
