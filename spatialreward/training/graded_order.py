"""Training samples of a judge with a scalar head, in order: labelled edits and rankings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spatialreward.data.dataset import Dataset
from spatialreward.errors import InvalidInputError
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import SCORES_OF
from spatialreward.training.arguments import samples_at_a_time
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.conversations import Joined, Limits, PackedConversations, Planned
from spatialreward.training.grading import Graded, GradedEdits, RankedConversations
from spatialreward.training.group_order import group_order
from spatialreward.training.kinds import trained_streams
from spatialreward.training.order import Part, training_order

if TYPE_CHECKING:
    from spatialreward.judges.qwen_vl.processor import Processor


def rankings_among(
    data_sets: Sequence[Dataset], rankings: Dataset | None, config: JudgeTrainingConfig
) -> tuple[Dataset, ...]:
    """The data sets whose rankings to train on.

    Args:
        data_sets: of labelled edits, which may have rankings beside them.
        rankings: that the user named for its rankings.
        config: the training's settings.

    Raises:
        InvalidInputError: rankings were named for a judge that does not learn from them, or the
            data set has none.
    """
    if rankings is not None and not config.learns_pairs:
        raise InvalidInputError(
            f"{rankings}: rankings are given, but kind {config.kind} does not learn from pairs; "
            "expected kind discriminative or joint, with head.pairs above 0"
        )
    if rankings is not None and not rankings.num_rankings:
        raise InvalidInputError(f"{rankings}: has no rankings; expected rankings-*.parquet there")
    if not config.learns_pairs:
        return ()
    named = [*data_sets] if rankings is None else [*data_sets, rankings]
    return tuple(one for one in named if one.num_rankings)


def graded_conversations(
    config: JudgeTrainingConfig,
    labelled: Sequence[Dataset],
    ranked: Sequence[Dataset],
    protocol: Protocol,
    processor: "Processor",
    world_size: int,
) -> tuple[Planned[Graded], int]:
    """The samples in order, and the number of conversations that are too long.

    Args:
        config: the training's settings.
        labelled: data sets of edits with labels; the second of two has ``drawn_share``.
        ranked: data sets of rankings.
        protocol: gives prompts and answers.
        processor: of the checkpoint, following the protocol.
        world_size: number of processes.

    Raises:
        InvalidInputError: the settings need pairs and there are none, or neither a ranking nor a
            label covers a score.
    """
    streams = trained_streams(config)
    limits = Limits(answer=protocol.max_answer_tokens, whole=config.max_tokens)
    packed = [
        PackedConversations(data, protocol, processor, limits, list(streams)) for data in labelled
    ]
    edits = [GradedEdits(data, one) for data, one in zip(labelled, packed, strict=True)]
    rankings = [
        RankedConversations(data, protocol, processor, limits, config.head.ranked_by, list(streams))
        for data in ranked
    ]
    if not packed:
        _check_orders(ranked, rankings, config)
    of_edits = [1.0] if len(packed) == 1 else [1 - config.drawn_share, config.drawn_share]
    share = _rankings_share(config, sum(map(len, packed)), sum(map(len, rankings)))
    materials = [
        *((one, (1 - share) * part) for one, part in zip(packed, of_edits, strict=False)),
        *((one, share * len(one) / max(1, sum(map(len, rankings)))) for one in rankings),
    ]
    parts, first = [], 0
    for one, part in materials:
        there = {stream: of for stream, of in streams.items() if len(one.of(stream))}
        parts += [
            Part(first + one.of(stream), part * of / sum(there.values()))
            for stream, of in there.items()
        ]
        first += len(one)
    graded = [*edits, *rankings]
    groups = _numbered(graded)
    settings = {
        "num_samples": config.num_steps * config.optimiser.batch_size,
        "batch_size": config.optimiser.batch_size,
        "samples_at_a_time": samples_at_a_time(config, world_size),
        "seed": config.seed,
    }
    lengths = np.concatenate([one.lengths for one, _ in materials])
    if config.learns_pairs:
        _check_pairs((*labelled, *ranked), groups)
        order = group_order(parts, lengths, groups, **settings)
    else:
        order = training_order(parts, lengths, **settings)
    joined: Joined[Graded] = Joined([_Numbered(one, at) for one, at in _firsts(graded)])
    return Planned(joined, order), sum(one.num_left_out for one in (*packed, *rankings))


class _Numbered:
    """Graded conversations with globally numbered groups."""

    def __init__(self, graded: GradedEdits | RankedConversations, first: int) -> None:
        self._graded = graded
        self._first = first

    def __len__(self) -> int:
        return len(self._graded)

    def __getitem__(self, number: int) -> Graded:
        one = self._graded[number]
        return one._replace(group=self._first + one.group)


def _firsts(
    graded: Sequence[GradedEdits | RankedConversations],
) -> list[tuple[GradedEdits | RankedConversations, int]]:
    """Each with the global number of its first group."""
    ends = np.cumsum([0, *(one.num_groups for one in graded)])
    return [(one, int(ends[number])) for number, one in enumerate(graded)]


def _numbered(graded: Sequence[GradedEdits | RankedConversations]) -> np.ndarray:
    return np.concatenate([first + one.groups for one, first in _firsts(graded)])


def _rankings_share(config: JudgeTrainingConfig, num_labelled: int, num_ranked: int) -> float:
    if not num_labelled or not num_ranked:
        return float(not num_labelled)
    share = config.head.rankings_share
    return num_ranked / (num_labelled + num_ranked) if share is None else share


def _check_pairs(data_sets: Sequence[Dataset], groups: np.ndarray) -> None:
    if len(groups) and np.unique(groups, return_counts=True)[1].max() > 1:
        return
    names = ", ".join(map(str, data_sets))
    raise InvalidInputError(
        f"{names}: there is no pair to learn from: expected rankings, or two labelled edits of the "
        "same instruction and sources; head.pairs = 0 with head.known_scores above 0 needs none"
    )


def _check_orders(
    data_sets: Sequence[Dataset],
    rankings: Sequence[RankedConversations],
    config: JudgeTrainingConfig,
) -> None:
    """Check that rankings alone order every trained score."""
    names = ", ".join(map(str, data_sets))
    for stream in trained_streams(config):
        for score in SCORES_OF[stream]:
            if not any(one.num_ordering[score] for one in rankings):
                found = ", ".join(sorted({name for one in rankings for name in one.dimensions}))
                raise InvalidInputError(
                    f"{names}: no ranking orders {score}; their dimensions are {found}: name one "
                    f"of them in head.ranked_by, or do not train the stream {stream}"
                )
