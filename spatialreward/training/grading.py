"""Known scores of conversations: a number for labelled edits, an order for rankings.

A group is a set of comparable edits: those of one task (instruction and sources) in one stream, or
those of one ranking.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit, Ranking
from spatialreward.data.rows import RankingRows
from spatialreward.data.views import Conversation, unanswered
from spatialreward.errors import InvalidInputError
from spatialreward.images import check_instruction
from spatialreward.progress import track
from spatialreward.protocol.prompts import Protocol, Slot
from spatialreward.records import MAX_SCORE, SCORES_OF, Streams
from spatialreward.training.conversations import Limits, PackedConversations, blank_question

if TYPE_CHECKING:
    from spatialreward.judges.qwen_vl.processor import Processor

_STREAMS = tuple(SCORES_OF)
_NOTHING = (math.nan, math.nan)


class Graded(NamedTuple):
    """A conversation, and the labels of its two scores."""

    conversation: Conversation
    group: int
    """Global number of its group."""
    values: tuple[float, float]
    """Comparable within the group, larger is better; NaN: no order."""
    known: tuple[float, float] = _NOTHING
    """The scores, 0..1; NaN if only an order is known."""


class GradedEdits:
    """The conversations of labelled edits by number, each with its scores."""

    def __init__(self, data: Dataset, packed: PackedConversations) -> None:
        """Group the edits by task, without reading pictures.

        Args:
            data: the labelled edits.
            packed: their conversations.
        """
        self._packed = packed
        tasks: dict[tuple, int] = {}
        described = track(data.edits(pictures=False), total=len(data), description="finding tasks")
        of_row = np.array([tasks.setdefault(_task(edit), len(tasks)) for edit in described])
        self.groups = len(_STREAMS) * of_row[packed.rows]
        """Number of each conversation's group."""
        for number, stream in enumerate(_STREAMS):
            self.groups[packed.of(stream)] += number
        self.num_groups = len(_STREAMS) * len(tasks)

    def __len__(self) -> int:
        """Number of conversations."""
        return len(self._packed)

    def __getitem__(self, number: int) -> Graded:
        """Conversation ``number``, with its scores."""
        edit, conversation = self._packed.read(number)
        given = edit.label.scores.given() if edit.label and edit.label.scores else {}
        first, second = (given[name] for name in SCORES_OF[Streams(conversation.stream)])
        known = (first / MAX_SCORE, second / MAX_SCORE)
        return Graded(conversation, int(self.groups[number]), (first, second), known)


class RankedConversations:
    """The edited pictures of rankings by number, as questions without a known answer."""

    def __init__(
        self,
        data: Dataset,
        protocol: Protocol,
        processor: "Processor",
        limits: Limits,
        ranked_by: Mapping[str, Sequence[str]],
        streams: Sequence[Streams],
    ) -> None:
        """Read the rankings once and measure their prompts, without reading pictures.

        Args:
            data: a data set with rankings.
            protocol: gives the prompts.
            processor: of the checkpoint, following the protocol.
            limits: rankings with a longer prompt are dropped and counted.
            ranked_by: for each score, the dimensions that order it.
            streams: to train.

        Raises:
            InvalidInputError: an instruction is unfit for a prompt; names the ranking.
        """
        self._protocol = protocol
        self._ranked_by = ranked_by
        places, lengths = [], []
        self.num_left_out = 0
        self.num_ordering: dict[str, int] = {
            name: 0 for stream in streams for name in SCORES_OF[stream]
        }
        """Number of rankings that order each score."""
        self.dimensions: set[str] = set()
        """All dimensions of the rankings."""
        rankings = track(
            data.rankings(pictures=False), total=data.num_rankings, description="reading rankings"
        )
        for row, ranking in enumerate(rankings):
            self.dimensions |= ranking.orders.keys()
            orders = self._orders(ranking)
            for stream in streams:
                names = [name for name in SCORES_OF[stream] if name in orders]
                if not names:
                    continue
                length = _prompt_tokens(self._conversation(ranking, 0, stream), processor)
                if length > limits.whole:
                    self.num_left_out += 1
                    continue
                for name in names:
                    self.num_ordering[name] += 1
                places += [
                    (row, number, _STREAMS.index(stream)) for number in range(len(ranking.edits))
                ]
                lengths += [length] * len(ranking.edits)
        self._places = np.array(places, dtype=np.int64).reshape(-1, 3)
        self.lengths = np.array(lengths, dtype=np.int64)
        """Tokens of each prompt, with pictures at their largest."""
        self.groups = len(_STREAMS) * self._places[:, 0] + self._places[:, 2]
        """Index of each picture's ranking and stream."""
        self.num_groups = len(_STREAMS) * data.num_rankings
        self._rows = RankingRows(data)

    def __len__(self) -> int:
        """Number of pictures and streams."""
        return len(self._places)

    def __getitem__(self, number: int) -> Graded:
        """Picture and stream ``number``, with its rank."""
        row, picture, of_stream = self._places[number].tolist()
        ranking, stream = self._rows[row], _STREAMS[of_stream]
        orders = self._orders(ranking)
        first, second = (
            -float(orders[name][picture]) if name in orders else math.nan
            for name in SCORES_OF[stream]
        )
        conversation = self._conversation(ranking, picture, stream)
        return Graded(conversation, int(self.groups[number]), (first, second))

    def of(self, stream: Streams) -> np.ndarray:
        """Numbers of a stream's pictures."""
        return np.flatnonzero(self._places[:, 2] == _STREAMS.index(stream))

    def _orders(self, ranking: Ranking) -> dict[str, tuple[int, ...]]:
        """For each score, the rank of each picture in it."""
        found = {}
        for score, names in self._ranked_by.items():
            named = [name for name in names if name in ranking.orders]
            if named:
                found[score] = ranking.orders[named[0]]
        return found

    def _conversation(self, ranking: Ranking, number: int, stream: Streams) -> Conversation:
        picture = ranking.edits[number]
        try:
            instruction = check_instruction(ranking.instruction)
        except InvalidInputError as error:
            raise InvalidInputError(f"ranking {ranking.id}: {error}") from error
        shown = {Slot.SOURCE: ranking.sources, Slot.EDITED: (picture.edited,)}
        name = f"{ranking.id}/{picture.id}"
        return unanswered(name, stream, instruction, shown, self._protocol)


def _task(edit: LabelledEdit) -> tuple:
    """A key that is equal for edits of the same instruction and sources, by fingerprint."""
    return edit.instruction, edit.fingerprints[: len(edit.sources)]


def _prompt_tokens(conversation: Conversation, processor: "Processor") -> int:
    """Tokens of a question, with pictures at their largest."""
    text = processor.prompt(blank_question(conversation))
    words = len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])
    return words + len(conversation.pictures) * (processor.largest_picture_tokens - 1)
