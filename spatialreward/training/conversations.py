"""A judge's training conversations by number: those of packed edits, and those of a list.

A conversation's pictures are read and decoded for its batch; lengths are known for all of them from
the start.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest
from itertools import count
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from PIL import Image

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit
from spatialreward.data.negatives.copies import AttackedCopies
from spatialreward.data.rows import EditRows
from spatialreward.data.views import Conversation, sft_conversations
from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image
from spatialreward.judges.questions import Question
from spatialreward.progress import track
from spatialreward.protocol import prompts
from spatialreward.records import Streams

if TYPE_CHECKING:
    from spatialreward.judges.qwen_vl.processor import Processor

logger = logging.getLogger(__name__)

STREAM_NAMES = {Streams.SEMANTIC: "semantic", Streams.PERCEPTUAL: "perceptual"}
_STREAMS = tuple(STREAM_NAMES)
Item = TypeVar("Item", covariant=True)
"""A conversation, possibly with labels."""
_BATCH = 512
_NAMED = 3
"""Number of dropped rows to name in the log."""


class Conversations(Protocol[Item]):
    """Conversations by number, a map-style data set of PyTorch."""

    def __len__(self) -> int:
        """Number of conversations."""
        ...

    def __getitem__(self, number: int, /) -> Item:
        """Conversation ``number``, with pictures and any labels."""
        ...


class Limits(NamedTuple):
    """The longest answer and the longest conversation, in tokens."""

    answer: int
    whole: int


class PackedConversations:
    """The conversations of labelled edits within the limits, by number."""

    def __init__(
        self,
        data: Dataset,
        protocol: prompts.Protocol,
        processor: "Processor",
        limits: Limits,
        streams: Sequence[Streams],
        copies: AttackedCopies | None = None,
    ) -> None:
        """Read and measure all labels once, without reading pictures.

        Args:
            data: edits with labels; those without are dropped.
            protocol: gives prompts and answers.
            processor: of the checkpoint, following the protocol.
            limits: longer conversations are dropped and counted.
            streams: to train; conversations of others are dropped.
            copies: replacements of the edits.

        Raises:
            InvalidInputError: no conversation of a stream is short enough, or an instruction or a
                label is unfit for a prompt; names the edits.
        """
        self._protocol = protocol
        self._copies = copies
        self.name = str(data)
        found = _Measured(protocol, processor, limits, tuple(streams))
        edits = track(data.edits(pictures=False), total=len(data), description="measuring answers")
        found.add_all(edits if copies is None else map(copies.relabelled, count(), edits))
        found.log_dropped(self.name)
        self.num_left_out = sum(len(one) for one in found.long.values())
        self._places = np.array(found.places, dtype=np.int64).reshape(-1, 2)
        self.lengths = np.array(found.lengths, dtype=np.int64)
        """Tokens of each conversation, with pictures at their largest."""
        self._rows = EditRows(data)

    def __len__(self) -> int:
        """Number of conversations."""
        return len(self._places)

    def __getitem__(self, number: int) -> Conversation:
        """Conversation ``number``, in the order of the edits."""
        return self.read(number)[1]

    def read(self, number: int) -> tuple[LabelledEdit, Conversation]:
        """Conversation ``number``, with its edit."""
        row, stream = self._places[number].tolist()
        edit = self._rows[row] if self._copies is None else self._copies.copy_of(row, self._rows)
        for conversation in sft_conversations(edit, self._protocol):
            if conversation.stream is _STREAMS[stream]:
                return edit, conversation
        raise AssertionError(f"{self.name}: edit {row} has lost its {_STREAMS[stream]} scores")

    @property
    def rows(self) -> np.ndarray:
        """Each conversation's row in the data set."""
        return self._places[:, 0]

    def of(self, stream: Streams) -> np.ndarray:
        """Numbers of a stream's conversations."""
        return np.flatnonzero(self._places[:, 1] == _STREAMS.index(stream))


class Joined(Generic[Item]):
    """Several sets of conversations with consecutive numbers."""

    def __init__(self, parts: Sequence[Conversations[Item]]) -> None:
        """Concatenate ``parts``."""
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        """Total number."""
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> Item:
        """Conversation ``number``."""
        part = int(np.searchsorted(self._ends, number, side="right"))
        return self._parts[part][number - (int(self._ends[part - 1]) if part else 0)]


class Planned(Generic[Item]):
    """Conversations in training order, including repetitions."""

    def __init__(self, conversations: Conversations[Item], order: np.ndarray) -> None:
        """Use the conversations, and the number for each sample in turn."""
        self._conversations = conversations
        self._order = order

    def __len__(self) -> int:
        """Number of samples in the training."""
        return len(self._order)

    def __getitem__(self, number: int) -> Item:
        """Sample ``number`` of the training."""
        return self._conversations[int(self._order[number])]


def question_of(conversation: Conversation) -> Question:
    """The model's prompt, with its pictures decoded.

    Raises:
        InvalidInputError: a picture cannot be decoded; names the edit.
    """
    pictures = iter(conversation.pictures)
    return Question(
        tuple(
            part["text"]
            if part["type"] == "text"
            else decode_image(next(pictures), f"{conversation.id}/{conversation.stream}")
            for part in conversation.question["content"]
        )
    )


def answer_of(conversation: Conversation) -> str:
    """The text to learn."""
    [part] = conversation.answer["content"]
    return part["text"]


class _Long(NamedTuple):
    tokens: int
    edit: str


class _Measured:
    """Measures conversations: place, length, and whether they exceed a limit."""

    def __init__(
        self,
        protocol: prompts.Protocol,
        processor: "Processor",
        limits: Limits,
        streams: tuple[Streams, ...],
    ) -> None:
        self._protocol = protocol
        self._processor = processor
        self._limits = limits
        self._streams = streams
        self._visual = processor.largest_picture_tokens
        self._waiting: list[tuple[int, Conversation]] = []
        self.places: list[tuple[int, int]] = []
        self.lengths: list[int] = []
        self.totals: Counter[Streams] = Counter()
        self.long: dict[str, list[_Long]] = {"answer": [], "whole": []}
        self._long_of: Counter[Streams] = Counter()

    def add_all(self, edits: Iterable[LabelledEdit]) -> None:
        for row, conversation in _each(edits, self._protocol):
            if conversation.stream in self._streams:
                self._waiting.append((row, conversation))
            if len(self._waiting) >= _BATCH:
                self._measure()
        if self._waiting:
            self._measure()

    def _measure(self) -> None:
        encode = self._processor.tokenizer
        answers = encode(
            [answer_of(one) for _, one in self._waiting], add_special_tokens=False
        ).input_ids
        asked = encode(
            [self._processor.prompt(blank_question(one)) for _, one in self._waiting],
            add_special_tokens=False,
        ).input_ids
        for (row, one), answer, prompt in zip(self._waiting, answers, asked, strict=True):
            # Each picture is one token of the prompt so far; the end token adds one.
            pictures = len(one.pictures) * (self._visual - 1)
            length = len(prompt) + pictures + len(answer) + 1
            self.totals[one.stream] += 1
            if len(answer) > self._limits.answer:
                self._leave_out("answer", len(answer), one)
            elif length > self._limits.whole:
                self._leave_out("whole", length, one)
            else:
                self.places.append((row, _STREAMS.index(one.stream)))
                self.lengths.append(length)
        self._waiting = []

    def _leave_out(self, why: str, tokens: int, conversation: Conversation) -> None:
        self.long[why].append(_Long(tokens, conversation.id))
        self._long_of[conversation.stream] += 1

    def log_dropped(self, name: str) -> None:
        """Log the dropped conversations.

        Raises:
            InvalidInputError: a stream has none left.
        """
        reasons = {
            "answer": f"answers are longer than max_answer_tokens = {self._limits.answer:,} of "
            f"protocol {self._protocol.name}",
            "whole": f"conversations are longer than max_tokens = {self._limits.whole:,}, "
            "pictures at their largest",
        }
        for why, found in self.long.items():
            if not found:
                continue
            worst = ", ".join(f"{one.edit} ({one.tokens:,})" for one in nlargest(_NAMED, found))
            for stream, total in self.totals.items():
                if self._long_of[stream] == total:
                    raise InvalidInputError(
                        f"{name}: all {total:,} {STREAM_NAMES[stream]} {reasons[why]}: {worst}; "
                        "shorten the labels, or train with a longer limit"
                    )
            logger.warning(
                "%s: %s of %s %s, and are dropped; the longest: %s",
                *(name, f"{len(found):,}", f"{self.totals.total():,}", reasons[why], worst),
            )


def _each(
    edits: Iterable[LabelledEdit], protocol: prompts.Protocol
) -> Iterator[tuple[int, Conversation]]:
    for row, edit in enumerate(edits):
        for conversation in sft_conversations(edit, protocol):
            yield row, conversation


_BLANK = Image.new("RGB", (1, 1))


def blank_question(conversation: Conversation) -> Question:
    """The question with a small placeholder for each picture."""
    parts = conversation.question["content"]
    return Question(tuple(one["text"] if one["type"] == "text" else _BLANK for one in parts))
