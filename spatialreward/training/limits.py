"""Answers that are longer than a judge may write: found before a training, and left out of it."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit
from spatialreward.errors import InvalidInputError
from spatialreward.progress import track
from spatialreward.protocol.prompts import Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

Answers = Callable[[LabelledEdit], Iterable[tuple[str, str]]]
"""What an edit teaches: the task and the answer, of each task that is trained."""

_BATCH = 512
_NAMED = 3
"""Edits that are named, of however many are left out."""


class AnswerLimit:
    """The longest answer of a protocol, in tokens of a tokenizer."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", protocol: Protocol) -> None:
        """Take both."""
        self._tokenizer = tokenizer
        self.protocol = protocol

    def allows(self, answer: str) -> bool:
        """Whether a judge that is taught this answer can give it."""
        return self.lengths([answer])[0] <= self.protocol.max_answer_tokens

    def lengths(self, answers: Sequence[str]) -> list[int]:
        """How many tokens each answer takes; at least one answer."""
        encoded = self._tokenizer(list(answers), add_special_tokens=False)["input_ids"]
        return [len(tokens) for tokens in encoded]


class _Taught(NamedTuple):
    """An answer of a data set."""

    edit: str
    task: str
    text: str


class _Long(NamedTuple):
    tokens: int
    edit: str


def count_long_answers(data: Dataset, answers: Answers, limit: AnswerLimit) -> int:
    """Number of answers that are longer than the limit; a log line says which are the longest.

    Args:
        data: its labels are read, and none of its pictures.
        answers: of an edit whose pictures are empty.
        limit: of the answers.

    Raises:
        InvalidInputError: of one of the tasks every answer is too long, or an instruction or a
            label is not fit for a prompt; names the edits.
    """
    most = limit.protocol.max_answer_tokens
    found: list[_Long] = []
    totals: Counter[str] = Counter()
    long: Counter[str] = Counter()
    for batch in _batches(data, answers):
        lengths = limit.lengths([answer.text for answer in batch])
        for answer, tokens in zip(batch, lengths, strict=True):
            totals[answer.task] += 1
            if tokens > most:
                long[answer.task] += 1
                found = nlargest(_NAMED, [*found, _Long(tokens, answer.edit)])
    worst = ", ".join(f"{one.edit} ({one.tokens:,})" for one in found)
    for task, total in totals.items():
        if long[task] == total:
            raise InvalidInputError(
                f"{data}: all {total:,} {task} answers are longer than max_answer_tokens = "
                f"{most:,} of protocol {limit.protocol.name}: {worst}; shorten the labels, or "
                "train with a protocol that allows longer answers"
            )
    if count := long.total():
        logger.warning(
            "%s: %s of %s answers are longer than max_answer_tokens = %s of protocol %s and are "
            "left out; the longest: %s",
            *(data, f"{count:,}", f"{totals.total():,}", f"{most:,}"),
            *(limit.protocol.name, worst),
        )
    return count


def _batches(data: Dataset, answers: Answers) -> Iterator[list[_Taught]]:
    batch: list[_Taught] = []
    edits = track(data.edits(pictures=False), total=len(data), description="measuring answers")
    for edit in edits:
        batch += (_Taught(edit.id, task, text) for task, text in answers(edit))
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
