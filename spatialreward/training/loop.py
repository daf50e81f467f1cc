"""The training loop of every stage: batches of one task, answer tokens alone in the loss."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl.processor import IGNORED_LABEL, Processor
from spatialreward.progress import track
from spatialreward.training.config import OptimiserConfig
from spatialreward.training.optimisation import KeptState, Optimisation
from spatialreward.training.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration

_REPORT_EVERY = 50
# Batches that are drawn together and sorted by answer length: less padding, same samples.
_SORTED_BATCHES = 8

ReportMetrics = Callable[[dict[str, float], int], None]


class Snapshot(NamedTuple):
    """What is done with the model after one of the steps."""

    step: int
    take: Callable[[], None]


class Example(NamedTuple):
    """One question and the answer that is to be learnt."""

    answer: str
    ask: Callable[[], Question]
    """Decodes the pictures, so it is called when the batch is at hand."""


class Batch(NamedTuple):
    """Examples of one task."""

    task: str
    """Names the loss."""
    examples: Sequence[Example]


def batches_of(task: str, examples: Iterable[Example], size: int) -> Iterator[Batch]:
    """Batches of one task, each of answers of like length."""
    stream = iter(examples)
    while window := list(itertools.islice(stream, size * _SORTED_BATCHES)):
        window.sort(key=lambda example: len(example.answer))
        for start in range(0, len(window), size):
            yield Batch(task, window[start : start + size])


def train(
    model: "Qwen3VLForConditionalGeneration",
    processor: Processor,
    batches: Iterable[Batch],
    *,
    num_steps: int,
    config: OptimiserConfig,
    description: str,
    report: ReportMetrics,
    resume_file: Path | None = None,
    keep_every: int = 250,
    snapshot: Snapshot | None = None,
    ranks: Ranks = ALONE,
) -> float:
    """Train in place for ``num_steps`` batches; ``report`` gets metrics every 50 steps.

    Returns the seconds that it took, over all runs of a training that was killed.

    With a ``resume_file`` the state is kept there every ``keep_every`` steps, and a training
    that was killed goes on from it, provided that it is given the same batches again. A
    ``snapshot`` is taken before a state is kept of the same step or a later one.

    With several ``ranks`` every process is given the same model and the same batches; the first
    one alone reports and keeps the state, and after a kill the others get it from there.

    Raises:
        InvalidInputError: a batch cannot be divided evenly among the processes.
    """
    ranks.check(config.batch_size)
    model.train()
    optimisation = Optimisation(model, config, num_steps)
    shared = ranks.wrap(model)
    state = KeptState(resume_file if ranks.is_first else None, optimisation.parts, ranks)
    first = state.restore()
    losses: dict[str, list[float]] = {}
    seen, start = 0, time.perf_counter()
    limited = itertools.islice(batches, first, num_steps)
    tracked = track(limited, total=num_steps - first, description=description)
    for step, batch in enumerate(tracked, first + 1):
        with optimisation.precision(model.device.type):
            loss = _loss(shared, processor, batch, ranks)
        optimisation.update(loss)
        mean = ranks.total(loss.item()) / ranks.world_size
        losses.setdefault(batch.task, []).append(mean)
        seen += len(batch.examples)
        if step % _REPORT_EVERY == 0 or step == num_steps:
            speed = seen / (time.perf_counter() - start)
            if ranks.is_first:
                report(_means(losses) | {"speed/samples_per_s": speed}, step)
            losses, seen, start = {}, 0, time.perf_counter()
        if snapshot and step == snapshot.step and ranks.is_first:
            snapshot.take()
        if step % keep_every == 0:
            state.keep(step)
    model.eval()
    return state.seconds


def _loss(model: torch.nn.Module, processor: Processor, batch: Batch, ranks: Ranks) -> torch.Tensor:
    """The mean over answer tokens; of several ranks, what averages to that of the whole batch."""
    examples = ranks.part_of(batch.examples)
    inputs = processor.encode(
        [example.ask() for example in examples], [example.answer for example in examples]
    )
    device = next(model.parameters()).device
    loss = model(**{name: value.to(device) for name, value in inputs.items()}).loss
    if ranks.world_size == 1:
        return loss
    # A rank with longer answers has more of the batch's tokens, and counts for more.
    tokens = int((inputs["labels"] != IGNORED_LABEL).sum())
    return loss * (tokens * ranks.world_size / ranks.total(tokens))


def _means(losses: dict[str, list[float]]) -> dict[str, float]:
    return {f"loss/{task}": sum(values) / len(values) for task, values in losses.items()}
