"""The grounded base: a model that describes scenes, differences and artifacts, and never scores."""

import datetime
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.protocol.prompts import TINY
from spatialreward.training.judge import Start
from spatialreward.training.loop import Batch, ReportMetrics, batches_of, train
from spatialreward.training.ranks import ALONE, Ranks
from spatialreward.world import tiny_judge
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.targets import (
    DescribingTask,
    Task,
    answer,
    question_about,
    scene_examples,
)
from spatialreward.world.tiny_config import GroundingConfig, TaskShares

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration


_TOKENIZER_SAMPLES = 2_000
_DESCRIBING: tuple[DescribingTask, ...] = ("differences", "artifacts", "scenes", "request")
_TASKS: tuple[Task, ...] = (*_DESCRIBING, "semantic", "perceptual")


def build_base(
    config: GroundingConfig,
    data: DataConfig,
    out: Path,
    report: ReportMetrics,
    *,
    evaluate: Callable[["Qwen3VLForConditionalGeneration", Processor], dict[str, float]],
    resume_file: Path | None = None,
) -> None:
    """Make a grounded base from noise and write it with its card; about an hour on two cores.

    Args:
        config: how long to train on what.
        data: the world to draw from; its training stream, never its held-out one.
        out: folder of the checkpoint, weights in 16 bits.
        report: gets the training metrics.
        evaluate: measures the finished model; its figures go into the card.
        resume_file: where the state is kept now and then, to go on after a kill.
    """
    import torch

    model, processor = untrained_tiny(config.seed, data)
    seconds = ground(model, processor, config, data, report, resume_file)
    card = {
        "kind": "grounded base: describes scenes, differences, artifacts, requests; never scores",
        "judges": False,
        "trained_on": "generated scenes of this repository's own world; no other data",
        "command": "spatialreward base build",
        "grounding": config.model_dump(),
        "data": data.model_dump(),
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "training_minutes": round(seconds / 60, 1),
        "torch_threads": torch.get_num_threads(),
        "figures": evaluate(model, processor),
    }
    checkpoint.save(out, model.to(torch.bfloat16), processor, card)


def untrained_tiny(
    seed: int, data: DataConfig
) -> tuple["Qwen3VLForConditionalGeneration", Processor]:
    """A tiny judge of random weights, with a tokenizer fitted to the world's texts."""
    tokenizer = _tokenizer(data)
    processor = Processor(tokenizer, tiny_judge.build_image_processor(), TINY.square_side)
    return tiny_judge.build_model(tokenizer, seed), processor


def ground(
    model: "Qwen3VLForConditionalGeneration",
    processor: Processor,
    config: GroundingConfig,
    data: DataConfig,
    report: ReportMetrics,
    resume_file: Path | None = None,
    ranks: Ranks = ALONE,
) -> float:
    """The grounding stage, in place; returns the seconds that it took."""
    size = config.optimiser.batch_size
    samples = (
        config.num_scene_samples,
        config.num_difference_samples,
        config.num_request_samples,
    )
    num_steps = sum(count // size for count in samples)
    return train(
        model,
        processor,
        _batches(config, data),
        num_steps=num_steps,
        config=config.optimiser,
        description="grounding",
        report=report,
        resume_file=resume_file,
        ranks=ranks,
    )


def start_from_noise(
    config: GroundingConfig,
    data: DataConfig,
    report: ReportMetrics,
    resume_file: Path | None = None,
    ranks: Ranks = ALONE,
) -> Start:
    """A tiny judge that went from random weights through the grounding stage."""
    model, processor = untrained_tiny(config.seed, data)
    ground(model, processor, config, data, report, resume_file, ranks)
    return Start(model, processor, "random weights, through a grounding stage")


def _batches(config: GroundingConfig, data: DataConfig) -> Iterator[Batch]:
    size = config.optimiser.batch_size
    clean = data.model_copy(update={"artifact_share": 0.0})
    scenes = scene_examples("scenes", draw_samples(clean, "train"), TINY)
    yield from itertools.islice(
        batches_of("scenes", scenes, size), config.num_scene_samples // size
    )
    samples = draw_samples(data, "train")
    streams: dict[DescribingTask, Iterator[Batch]] = {
        task: batches_of(task, scene_examples(task, samples, TINY), size) for task in _DESCRIBING
    }
    rng = np.random.default_rng(config.seed)
    mixed = _mixed(streams, config.difference_shares, rng)
    yield from itertools.islice(mixed, config.num_difference_samples // size)
    yield from _mixed(streams, config.request_shares, rng)


def _mixed(
    streams: Mapping[DescribingTask, Iterator[Batch]],
    shares: TaskShares,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    chances = [getattr(shares, task) for task in _DESCRIBING]
    while True:
        yield next(streams[_DESCRIBING[int(rng.choice(len(chances), p=chances))]])


def _tokenizer(data: DataConfig) -> "PreTrainedTokenizerFast":
    samples = draw_samples(data, "train", _TOKENIZER_SAMPLES)
    # Words alone count, so the samples' own pictures need not be decoded.
    blank = Image.new("RGB", (1, 1))
    return tiny_judge.build_tokenizer(
        text
        for sample in samples
        for task in _TASKS
        for text in (
            question_about(task, Edit(blank, blank, sample.instruction), TINY).text,
            answer(task, sample),
        )
    )
