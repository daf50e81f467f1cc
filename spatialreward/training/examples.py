"""What a judge learns from an edit of a data set: a question, and the answer to it.

An edit that the generated world made is asked about in the world's own words, which say more than
its label. Of any other edit the label is the answer, as a conversation in the protocol's words.
"""

from collections.abc import Iterable, Iterator

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.packing.views import Conversation, sft_conversations
from spatialreward.images import decode_image
from spatialreward.judges.questions import Question
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import Streams
from spatialreward.training.loop import Example
from spatialreward.world.labelling import scene_sample
from spatialreward.world.targets import JudgingTask, scene_example

_STREAMS: dict[JudgingTask, Streams] = {
    "semantic": Streams.SEMANTIC,
    "perceptual": Streams.PERCEPTUAL,
}


def judging_examples(
    task: JudgingTask, edits: Iterable[LabelledEdit], protocol: Protocol
) -> Iterator[Example]:
    """One example of each edit that has a label with the scores of this task's stream.

    Raises:
        InvalidInputError: an instruction or a label is not fit for a prompt; names the edit.
    """
    for edit in edits:
        if edit.truth is not None:
            yield scene_example(task, scene_sample(edit), protocol)
            continue
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
