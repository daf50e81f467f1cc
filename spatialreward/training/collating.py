"""Collates conversations to a step's tensors: inputs, answer tokens, and their parts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spatialreward.data.views import Conversation
from spatialreward.protocol.rendering import answer_parts
from spatialreward.records import Streams
from spatialreward.training.conversations import answer_of, question_of

if TYPE_CHECKING:
    from spatialreward.judges.qwen_vl.processor import Processor

IGNORED = -100
_JUDGING = ("regions", "reasoning", "scores")


class Collator:
    """Makes batches: ``B`` conversations, ``L`` tokens of the longest, ``K`` of its answer.

    A batch holds the model's inputs, left-padded; ``labels`` and ``shift_labels`` [B, K], the same
    tensor: the tokens of the answers, aligned with the logits of the ``K`` positions before the
    last; ``parts`` [B, K], indices into ``names``; and ``ids``, the edits.
    """

    def __init__(self, processor: "Processor", tasks: Sequence[str] = ()) -> None:
        """Use a processor that follows the protocol, and names of tasks beside the streams."""
        self._processor = processor
        self.names = (*_JUDGING, *tasks)
        """Parts with a separate loss: those of a judgement, and one a task."""

    def __call__(self, conversations: Sequence[Conversation]) -> dict[str, Any]:
        """One batch.

        Raises:
            InvalidInputError: a picture cannot be decoded; names the edit.
        """
        import torch

        answers = [answer_of(one) for one in conversations]
        inputs: dict[str, Any] = dict(
            self._processor.encode([question_of(one) for one in conversations], answers)
        )
        labels = inputs.pop("labels")
        longest = int((labels != IGNORED).sum(dim=1).max())
        labels = labels[:, -longest:].contiguous()
        parts = torch.zeros_like(labels)
        for row, (conversation, answer) in enumerate(zip(conversations, answers, strict=True)):
            numbers = self._parts(conversation, answer)
            parts[row, -len(numbers) :] = torch.tensor(numbers)
        return inputs | {
            "labels": labels,
            "shift_labels": labels,
            "parts": parts,
            "ids": [f"{one.id} ({one.stream})" for one in conversations],
        }

    def _parts(self, conversation: Conversation, answer: str) -> list[int]:
        """The part of each of the answer's tokens, and of its end token."""
        tokens = self._processor.tokenizer(
            answer, add_special_tokens=False, return_offsets_mapping=True
        )
        if conversation.stream not in set(Streams):
            return [self.names.index(conversation.stream)] * (len(tokens.input_ids) + 1)
        numbers = []
        starts = [(one.at, self.names.index(one.part)) for one in answer_parts(answer)]
        for _, end in tokens.offset_mapping:
            # A token across two parts belongs to the second one.
            numbers.append(max(part for at, part in starts if at < end))
        return [*numbers, numbers[-1]]
