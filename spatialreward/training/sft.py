"""Supervised fine-tuning: from a checkpoint and labelled edits to a judge.

One function serves the tiny judge and the 8B one; only the settings differ.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from spatialreward.data.dataset import Dataset
from spatialreward.data.negatives.copies import AttackedCopies
from spatialreward.errors import InvalidInputError
from spatialreward.progress import ReportMetrics
from spatialreward.protocol.choice import in_form, stated_protocol
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import SCORES_OF, Streams
from spatialreward.training.arguments import (
    samples_at_a_time,
    training_arguments,
)
from spatialreward.training.base import Base, kind_in_words, load_base
from spatialreward.training.collating import Collator
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.conversations import (
    Joined,
    Limits,
    PackedConversations,
    Planned,
)
from spatialreward.training.fitting import Snapshot, fit
from spatialreward.training.graded_collating import GradedCollator
from spatialreward.training.graded_order import graded_conversations, rankings_among
from spatialreward.training.head import prepare_head
from spatialreward.training.head_trainer import HeadWeights
from spatialreward.training.kinds import trained_streams
from spatialreward.training.order import Part, training_order
from spatialreward.training.processes import ALONE, Processes
from spatialreward.training.states import States
from spatialreward.training.tuning import prepare
from spatialreward.training.writing import JudgeWriter

if TYPE_CHECKING:
    from spatialreward.judges.qwen_vl.processor import Processor

logger = logging.getLogger(__name__)

GENERATED_WORLD_NOTICE = (
    "this judge was trained on small generated scenes only; its opinion of real pictures is "
    "worth nothing"
)
_TINY_NOTICE = "this judge is a tiny model; its opinion of real pictures is worth little"
_TINY = "tiny"


def train_judge(
    base: Base,
    config: JudgeTrainingConfig,
    data: Dataset,
    out: Path,
    report: ReportMetrics,
    *,
    drawn: Dataset | None = None,
    earlier_out: Path | None = None,
    state_folder: Path | None = None,
    processes: Processes = ALONE,
    rankings: Dataset | None = None,
) -> None:
    """Train a judge, and write its checkpoint with protocol and card.

    Every process calls this with the same arguments; the first one writes.

    Args:
        base: the initial checkpoint.
        config: length and other settings.
        data: edits with labels; those without are dropped.
        out: folder of the new checkpoint, or of the adapter if ``tuning.merge`` is false.
        report: receives the training metrics.
        drawn: edits that an editor drew; ``config`` gives their share.
        earlier_out: folder of the earlier checkpoint, if ``config`` requests one; a resumed
            training finds it there.
        state_folder: for periodic states, to resume after a kill; shared by all processes.
        processes: this process among all of them.
        rankings: a data set with rankings, for a judge with a scalar head; those of ``data`` and
            ``drawn`` count too.

    Raises:
        InvalidInputError: the base is not a checkpoint, or too small for the protocol; the data has
            no labels of a trained stream, or none short enough; the settings need pairs and there
            are none; drawn edits come without a share or vice versa; a batch does not divide evenly
            among the processes; or the last state is another training's.
        DivergedError: the loss is NaN or infinite.
    """
    samples_at_a_time(config, processes.world_size)
    data_sets = _trained_on(data, drawn, config)
    ranked = rankings_among(data_sets, rankings, config)
    if config.kind == "discriminative" and ranked:
        # An order is enough for a judge without answers.
        data_sets = tuple(one for one in data_sets if one.num_labelled)
    num_edits = sum(check_labels(one, config) for one in data_sets)
    from transformers import set_seed

    start = time.perf_counter()
    with TemporaryDirectory() as nowhere:
        # Before the model: DeepSpeed partitions it while loading.
        arguments = training_arguments(
            config, config.num_steps, state_folder or Path(nowhere), processes.world_size
        )
        if state_folder is None:
            arguments.save_strategy = "no"
        protocol = in_form(config.protocol, config.answer)
        _log_other_form(base, protocol)
        model, processor = load_base(base, config, protocol)
        head = prepare_head(model, base.folder, config)
        collator = Collator(processor)
        if head is None:
            planned = _conversations(config, data_sets, protocol, processor, processes)
        else:
            planned = graded_conversations(
                config, data_sets, ranked, protocol, processor, processes.world_size
            )
            collator = GradedCollator(processor, head, writes=config.kind == "joint")
        conversations, num_long = planned
        card = _card(base, config, data_sets, num_edits, ranked, processes) | {
            "num_long_left_out": num_long
        }
        states = None
        if state_folder is not None:
            identity = _identity(base, config, data_sets, processes)
            if ranked:
                identity["rankings"] = [one.rankings_digest for one in ranked]
            states = States(state_folder, identity)
            # Only the first process marks a state as complete.
            states.last = processes.from_first(states.last)
        # A LoRA starts from random numbers.
        set_seed(config.seed)
        writer = JudgeWriter(base, config.tuning, protocol, processor, processes)
        trainer = fit(
            prepare(model, config, str(base.folder)),
            arguments,
            conversations,
            collator,
            matrices=config.optimiser.matrices,
            report=report,
            description="judge training",
            states=states,
            snapshot=_earlier(config, writer, earlier_out, card),
            weights=head and HeadWeights(config.head.pairs, config.known_scores_weight),
        )
        seconds = states.seconds if states else time.perf_counter() - start
        writer.write(trainer, out, card | {"training_minutes": round(seconds / 60, 1)})


def _log_other_form(base: Base, protocol: Protocol) -> None:
    """Log that the base was trained with another form; this training's form counts."""
    own = stated_protocol(base.folder)
    if own is not None and own.answer is not protocol.answer:
        logger.info(
            "judge: %s answers in the form %s; this training teaches the form %s, protocol %s",
            *(base.origin or base.folder, own.answer, protocol.answer, protocol.name),
        )


def _conversations(
    config: JudgeTrainingConfig,
    data_sets: Sequence[Dataset],
    protocol: Protocol,
    processor: "Processor",
    processes: Processes,
) -> tuple[Planned, int]:
    """The samples in order, and the number of conversations that are too long."""
    streams = trained_streams(config)
    packed, parts, first = [], [], 0
    for one, share in _packed(config, data_sets, protocol, processor):
        packed.append(one)
        numbers = {stream: first + one.of(stream) for stream in streams}
        # Attacked copies of a few edits may all belong to one stream.
        parts += [Part(of, share * streams[name]) for name, of in numbers.items() if of.size]
        first += len(one)
    order = training_order(
        parts,
        np.concatenate([one.lengths for one in packed]),
        num_samples=config.num_steps * config.optimiser.batch_size,
        batch_size=config.optimiser.batch_size,
        samples_at_a_time=samples_at_a_time(config, processes.world_size),
        seed=config.seed,
    )
    return Planned(Joined(packed), order), sum(one.num_left_out for one in packed)


def _packed(
    config: JudgeTrainingConfig,
    data_sets: Sequence[Dataset],
    protocol: Protocol,
    processor: "Processor",
) -> Iterator[tuple[PackedConversations, float]]:
    """The conversations of each data set and of its attacked copies, with their shares."""
    limits = Limits(answer=protocol.max_answer_tokens, whole=config.max_tokens)
    streams = list(trained_streams(config))
    of_drawn = config.drawn_share
    for data, share in zip(data_sets, (1 - of_drawn, of_drawn), strict=False):
        negatives = share * config.negatives_share
        yield PackedConversations(data, protocol, processor, limits, streams), share - negatives
        if negatives:
            copies = AttackedCopies(data.edits(pictures=False), config.seed, str(data))
            yield (
                PackedConversations(data, protocol, processor, limits, streams, copies),
                negatives,
            )


def _card(
    base: Base,
    config: JudgeTrainingConfig,
    data_sets: Sequence[Dataset],
    num_edits: int,
    ranked: Sequence[Dataset],
    processes: Processes,
) -> dict[str, Any]:
    logger.info(
        "judge: %d steps on %d edits, from %s",
        *(config.num_steps, num_edits, base.origin or base.folder),
    )
    for one in data_sets:
        if left_out := len(one) - one.num_labelled:
            logger.info("judge: %s: %d edits without a label are dropped", one, left_out)
    num_made = sum(one.count("truth") for one in data_sets)
    notice = ""
    if num_made == num_edits and not ranked:
        notice = GENERATED_WORLD_NOTICE
    elif config.protocol == _TINY:
        notice = _TINY_NOTICE
    return {
        "kind": kind_in_words(config.answer, has_head=config.has_head),
        **({"notice": notice} if notice else {}),
        "trained_from": base.origin or str(base.folder),
        "num_training_edits": num_edits,
        **({"num_training_rankings": sum(one.num_rankings for one in ranked)} if ranked else {}),
        "training": config.model_dump(),
        "training_processes": processes.world_size,
    }


def _identity(
    base: Base, config: JudgeTrainingConfig, data_sets: Sequence[Dataset], processes: Processes
) -> dict[str, Any]:
    """Identity of a state; omits settings that change no weight."""
    settings = config.model_dump(mode="json", exclude={"workers", "processes", "report_every"})
    optimiser = {f"optimiser.{name}": one for name, one in settings.pop("optimiser").items()}
    return {
        **settings,
        **optimiser,
        "base": base.origin or str(base.folder),
        "data": [one.digest for one in data_sets],
        "processes": processes.world_size,
    }


def _earlier(
    config: JudgeTrainingConfig, writer: "JudgeWriter", out: Path | None, card: dict[str, Any]
) -> Snapshot | None:
    if not config.earlier_step:
        return None
    assert out is not None
    steps = {"stopped_after_step": config.earlier_step}
    return Snapshot(config.earlier_step, lambda trainer: writer.write(trainer, out, card | steps))


def _trained_on(
    data: Dataset, drawn: Dataset | None, config: JudgeTrainingConfig
) -> tuple[Dataset, ...]:
    """The data sets to train on.

    Raises:
        InvalidInputError: there are drawn edits but no share of them, or vice versa.
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


def check_labels(data: Dataset, config: JudgeTrainingConfig) -> int:
    """Number of edits that a judge can learn from.

    Raises:
        InvalidInputError: there is none, or none with the scores of a trained stream.
    """
    usable, total = data.num_labelled, len(data)
    if not usable:
        raise InvalidInputError(
            f"{data}: 0 of {total} edits have a label to train a judge on; build it with a teacher "
            "or from a source that brings labels along"
        )
    for stream in trained_streams(config):
        names = SCORES_OF[stream]
        if not data.count(names[0]):
            raise InvalidInputError(
                f"{data}: {usable} of {total} edits have a label, but 0 have the scores "
                f"{' and '.join(names)}; expected perceptual_share = "
                f"{int(stream is Streams.SEMANTIC)}, got {config.perceptual_share:g}"
            )
    return usable
