"""The training loop of every stage: batches of one task, answer tokens alone in the loss."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from spatialreward.data.samples import EditSample
from spatialreward.judge.processor import Processor
from spatialreward.progress import track
from spatialreward.protocol.prompts import Protocol
from spatialreward.training.config import OptimiserConfig
from spatialreward.training.optimisation import KeptState, Optimisation
from spatialreward.training.targets import Task, answer, question

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration

_REPORT_EVERY = 50
# Batches that are drawn together and sorted by answer length: less padding, same samples.
_SORTED_BATCHES = 8

ReportMetrics = Callable[[dict[str, float], int], None]


class Batch(NamedTuple):
    """Samples that are all asked the same."""

    task: Task
    samples: Sequence[EditSample]


def batches_of(task: Task, samples: Iterable[EditSample], size: int) -> Iterator[Batch]:
    """Batches of one task, each of answers of like length."""
    stream = iter(samples)
    while window := list(itertools.islice(stream, size * _SORTED_BATCHES)):
        window.sort(key=lambda sample: len(answer(task, sample)))
        for start in range(0, len(window), size):
            yield Batch(task, window[start : start + size])


def train(
    model: "Qwen3VLForConditionalGeneration",
    processor: Processor,
    protocol: Protocol,
    batches: Iterable[Batch],
    *,
    num_steps: int,
    config: OptimiserConfig,
    description: str,
    report: ReportMetrics,
    resume_file: Path | None = None,
    keep_every: int = 250,
) -> float:
    """Train in place for ``num_steps`` batches; ``report`` gets metrics every 50 steps.

    Returns the seconds that it took, over all runs of a training that was killed.

    With a ``resume_file`` the state is kept there every ``keep_every`` steps, and a training
    that was killed goes on from it, provided that it is given the same batches again.
    """
    model.train()
    optimisation = Optimisation(model, config, num_steps)
    state = KeptState(resume_file, optimisation.parts)
    first = state.restore()
    losses: dict[Task, list[float]] = {}
    seen, start = 0, time.perf_counter()
    limited = itertools.islice(batches, first, num_steps)
    tracked = track(limited, total=num_steps - first, description=description)
    for step, batch in enumerate(tracked, first + 1):
        with optimisation.precision(model.device.type):
            loss = _loss(model, processor, protocol, batch)
        optimisation.update(loss)
        losses.setdefault(batch.task, []).append(loss.item())
        seen += len(batch.samples)
        if step % _REPORT_EVERY == 0 or step == num_steps:
            speed = seen / (time.perf_counter() - start)
            report(_means(losses) | {"speed/samples_per_s": speed}, step)
            losses, seen, start = {}, 0, time.perf_counter()
        if step % keep_every == 0:
            state.keep(step)
    model.eval()
    return state.seconds


def _loss(
    model: "Qwen3VLForConditionalGeneration",
    processor: Processor,
    protocol: Protocol,
    batch: Batch,
) -> torch.Tensor:
    questions = [question(batch.task, sample, protocol) for sample in batch.samples]
    answers = [answer(batch.task, sample) for sample in batch.samples]
    inputs = processor.encode(questions, answers)
    return model(**{name: value.to(model.device) for name, value in inputs.items()}).loss


def _means(losses: dict[Task, list[float]]) -> dict[str, float]:
    return {f"loss/{task}": sum(values) / len(values) for task, values in losses.items()}
