"""Fine-tunes a model that describes edits into one that judges them."""

import functools
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit
from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.limits import check_limits
from spatialreward.protocol.prompts import TINY
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.examples import JudgingTask, judging_examples
from spatialreward.training.limits import AnswerLimit, count_long_answers
from spatialreward.training.loop import Batch, Example, ReportMetrics, Snapshot, batches_of, train
from spatialreward.training.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration

    from spatialreward.judges.qwen_vl.processor import Processor

logger = logging.getLogger(__name__)

GENERATED_WORLD_NOTICE = (
    "this judge was trained on small generated scenes only; its opinion of real pictures is "
    "worth nothing"
)
_TINY_NOTICE = "this judge is a tiny model; its opinion of real pictures is worth little"
_SCORES: dict[JudgingTask, tuple[str, str]] = {
    "semantic": ("editing_success", "over_editing"),
    "perceptual": ("naturalness", "artifact_freedom"),
}


class Start(NamedTuple):
    """What a training begins with."""

    model: "Qwen3VLForConditionalGeneration"
    processor: "Processor"
    origin: str
    """Where they are from, for the card."""


def start_from(folder: Path, origin: str = "") -> Start:
    """A checkpoint on disk; ``origin`` says in other words than the folder's what it is.

    Raises:
        InvalidInputError: it is no checkpoint, or a damaged one.
    """
    model, processor = checkpoint.load(folder, TINY.square_side, for_training=True)
    return Start(model, processor, origin or str(folder))


def train_judge(
    opening: Callable[[], Start],
    config: JudgeTrainingConfig,
    data: Dataset,
    out: Path,
    report: ReportMetrics,
    *,
    drawn: Dataset | None = None,
    earlier_out: Path | None = None,
    resume_file: Path | None = None,
    ranks: Ranks = ALONE,
) -> None:
    """Write a judge's checkpoint with its protocol and card.

    With several ranks each of them calls this with the same opening, settings and data; the first
    one writes the checkpoint.

    Args:
        opening: makes the model, which is trained in place; called when the data has been looked
            at, since it may take an hour.
        config: how long to train, and how.
        data: edits with labels; those without are left out.
        out: folder of the new checkpoint.
        report: gets the training metrics.
        drawn: edits that an editor drew, of which ``config`` says the share.
        earlier_out: folder of the earlier checkpoint, if ``config`` asks for one; a training that
            goes on after a kill finds it there.
        resume_file: where the state of the training is kept now and then, to go on after a kill.
        ranks: this process among those that train together.

    Raises:
        InvalidInputError: the model is too small for the protocol, the data has no labels of a kind
            that is trained on or none that is short enough for the protocol, there are drawn edits
            without a share or the other way round, or a batch cannot be divided evenly among the
            ranks.
    """
    ranks.check(config.optimiser.batch_size)
    data_sets = _trained_on(data, drawn, config)
    num_edits = sum(check_labels(one, config) for one in data_sets)
    model, processor, origin = opening()
    processor = processor.following(TINY)
    check_limits(TINY, f"protocol {TINY.name}", model.config, processor)
    limit = AnswerLimit(processor.tokenizer, TINY)
    answers = functools.partial(_answers, _trained_tasks(config))
    num_long = sum(count_long_answers(one, answers, limit) for one in data_sets)
    logger.info("judge: %d steps on %d edits, from %s", config.num_steps, num_edits, origin)
    for one in data_sets:
        if left_out := len(one) - one.num_labelled:
            logger.info("judge: %s: %d edits without a label are left out", one, left_out)
    num_made = sum(one.count("truth") for one in data_sets)
    card = {
        "kind": "judge: edit regions, reasoning and four scores",
        "notice": GENERATED_WORLD_NOTICE if num_made == num_edits else _TINY_NOTICE,
        "trained_from": origin,
        "num_training_edits": num_edits,
        "num_long_answers_left_out": num_long,
        "training": config.model_dump(),
        "training_processes": ranks.world_size,
    }

    def keep_earlier() -> None:
        assert earlier_out is not None
        shutil.rmtree(earlier_out, ignore_errors=True)
        steps = {"stopped_after_step": config.earlier_step}
        checkpoint.save(earlier_out, model, processor, card | steps, TINY)

    seconds = train(
        model,
        processor,
        judge_batches(config, data, drawn, keeps=limit.allows),
        num_steps=config.num_steps,
        config=config.optimiser,
        description="judge training",
        report=report,
        resume_file=resume_file,
        snapshot=Snapshot(config.earlier_step, keep_earlier) if config.earlier_step else None,
        ranks=ranks,
    )
    if not ranks.is_first:
        return
    minutes = {"training_minutes": round(seconds / 60, 1)}
    checkpoint.save(out, model, processor, card | minutes, TINY)


def _trained_on(
    data: Dataset, drawn: Dataset | None, config: JudgeTrainingConfig
) -> tuple[Dataset, ...]:
    """The data sets that are trained on.

    Raises:
        InvalidInputError: there are drawn edits and no share of them, or the other way round.
    """
    if drawn is None and config.drawn_share:
        raise InvalidInputError(
            f"drawn_share = {config.drawn_share:g}: there are no drawn edits, expected a data set "
            "of draw-edits or drawn_share = 0"
        )
    if drawn is not None and not config.drawn_share:
        raise InvalidInputError(
            f"{drawn}: drawn edits are given, but drawn_share = 0; expected a share above 0"
        )
    return (data,) if drawn is None else (data, drawn)


def _trained_tasks(config: JudgeTrainingConfig) -> list[JudgingTask]:
    """The tasks that have a share of the batches."""
    shares = {"semantic": 1 - config.perceptual_share, "perceptual": config.perceptual_share}
    return [task for task in _SCORES if shares[task]]


def check_labels(data: Dataset, config: JudgeTrainingConfig) -> int:
    """Number of edits that a judge can learn from.

    Raises:
        InvalidInputError: there is none, or none with the scores of a stream that is trained.
    """
    usable, total = data.num_labelled, len(data)
    if not usable:
        raise InvalidInputError(
            f"{data}: 0 of {total} edits have a label to train a judge on; build it with a teacher "
            "or from a source that brings labels along"
        )
    for task in _trained_tasks(config):
        names = _SCORES[task]
        if not data.count(names[0]):
            raise InvalidInputError(
                f"{data}: {usable} of {total} edits have a label, but 0 have the scores "
                f"{' and '.join(names)}; expected perceptual_share = {int(task == 'semantic')}, "
                f"got {config.perceptual_share:g}"
            )
    return usable


def judge_batches(
    config: JudgeTrainingConfig,
    data: Dataset,
    drawn: Dataset | None = None,
    *,
    keeps: Callable[[str], bool] = lambda answer: True,
) -> Iterator[Batch]:
    """The batches of a training, without end; ``check_labels`` tells whether there are any.

    Examples whose answers ``keeps`` is false of are left out.
    """
    streams: dict[JudgingTask, Iterator[Batch]] = {
        task: batches_of(
            task,
            _examples(task, number, config, data, drawn, keeps),
            config.optimiser.batch_size,
        )
        for number, task in enumerate(_SCORES)
    }
    rng = np.random.default_rng(config.seed)
    while True:
        yield next(streams["perceptual" if rng.random() < config.perceptual_share else "semantic"])


def _examples(
    task: JudgingTask,
    number: int,
    config: JudgeTrainingConfig,
    data: Dataset,
    drawn: Dataset | None,
    keeps: Callable[[str], bool],
) -> Iterator[Example]:
    """What one task teaches, without end: each example of drawn edits with the share's chance."""
    painted = _kept(judging_examples(task, data.endlessly(), TINY), keeps)
    if drawn is None:
        yield from painted
        return
    of_drawn = _kept(judging_examples(task, drawn.endlessly(), TINY), keeps)
    rng = np.random.default_rng((config.seed, number))
    while True:
        yield next(of_drawn if rng.random() < config.drawn_share else painted)


def _kept(examples: Iterable[Example], keeps: Callable[[str], bool]) -> Iterator[Example]:
    return (example for example in examples if keeps(example.answer))


def _answers(tasks: Sequence[JudgingTask], edit: LabelledEdit) -> Iterator[tuple[str, str]]:
    for task in tasks:
        for example in judging_examples(task, [edit], TINY):
            yield task, example.answer
