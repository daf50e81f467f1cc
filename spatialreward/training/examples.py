"""What a judge learns from an edit: its label, as an answer in the protocol's words."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.packing.views import Conversation, sft_conversations
from spatialreward.images import decode_image
from spatialreward.judges.questions import Question
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import Streams
from spatialreward.training.loop import Example

JudgingTask = Literal["semantic", "perceptual"]
_STREAMS: Mapping[JudgingTask, Streams] = MappingProxyType(
    {"semantic": Streams.SEMANTIC, "perceptual": Streams.PERCEPTUAL}
)


def judging_examples(
    task: JudgingTask, edits: Iterable[LabelledEdit], protocol: Protocol
) -> Iterator[Example]:
    """One example of each edit that has a label with the scores of this task's stream.

    Raises:
        InvalidInputError: an instruction or a label is not fit for a prompt; names the edit.
    """
    for edit in edits:
        for conversation in sft_conversations(edit, protocol):
            if conversation.stream is _STREAMS[task]:
                yield _example(conversation)


def _example(conversation: Conversation) -> Example:
    [answer] = (part["text"] for part in conversation.answer["content"])
    return Example(answer, lambda: _question(conversation))


def _question(conversation: Conversation) -> Question:
    pictures = iter(conversation.pictures)
    return Question(
        tuple(
            part["text"]
            if part["type"] == "text"
            else decode_image(next(pictures), f"{conversation.id}/{conversation.stream}")
            for part in conversation.question["content"]
        )
    )
