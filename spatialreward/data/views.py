"""Views of packed edits: conversations that teach a judge, and prompts for RL of judge and editor.

All are views: nothing is stored twice, and a change of prompts needs no new shards. Their rows have
the form of Hugging Face ``datasets`` and TRL: ``images`` in the order in which the messages show
them, each ``{"bytes": ..., "path": None}``, which the features decode.

TRL masks the prompt out of the loss for rows with ``prompt`` and ``completion``; with ``messages``
and pictures it cannot, so a model would be trained on its own questions. Hence ``sft_rows`` gives
the former, and ``Conversation.messages`` the latter, for other programs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.reserved import find_reserved
from spatialreward.errors import InvalidInputError
from spatialreward.images import check_instruction
from spatialreward.protocol.parsing import PerceptualAnswer, SemanticAnswer
from spatialreward.protocol.prompts import Protocol, Slot, fill
from spatialreward.protocol.rendering import render_perceptual, render_semantic
from spatialreward.records import SCORES_OF, AnswerForm, Judgement, Streams

if TYPE_CHECKING:
    from datasets import Features

Message = dict[str, Any]
"""``{"role": ..., "content": [{"type": "text", "text": ...} or {"type": "image", "text": None}]}``;
all parts have the same keys, as Arrow columns require."""


class Conversation(NamedTuple):
    """One question about an edit, and the answer to learn."""

    id: str
    """The edit's."""
    stream: str
    """A value of ``Streams``; for other training tasks, the name of the task."""
    question: Message
    answer: Message
    pictures: tuple[bytes, ...]
    """Picture files in the order in which the question shows them."""

    @property
    def messages(self) -> list[Message]:
        """Question and answer."""
        return [self.question, self.answer]

    def row(self) -> dict[str, Any]:
        """The row for training on the answer alone with TRL's ``SFTTrainer``."""
        return {
            "prompt": [self.question],
            "completion": [self.answer],
            "images": _images(self.pictures),
            "id": self.id,
            "stream": str(self.stream),
        }


class JudgePrompt(NamedTuple):
    """One question about an edit, for RL of a judge that generates its own answers."""

    id: str
    """The edit's."""
    stream: Streams
    question: Message
    pictures: tuple[bytes, ...]
    """Picture files in the order in which the question shows them."""


class RlPrompt(NamedTuple):
    """A task for an editor in RL; the reward comes from a judge, not from the data."""

    id: str
    instruction: str
    sources: tuple[bytes, ...]
    operation: str
    """In the data set's words; empty if unknown. For balancing prompts over operations."""

    def row(self) -> dict[str, Any]:
        """The row of a Hugging Face data set."""
        return {
            "prompt": self.instruction,
            "images": _images(self.sources),
            "operation": self.operation,
            "id": self.id,
        }


def sft_conversations(edit: LabelledEdit, protocol: Protocol) -> list[Conversation]:
    """The SC and the PQ conversation of an edit, with a protocol's prompts.

    An answer is what ``spatialreward.protocol.parsing`` reads: the annotation's regions and
    reasoning as far as the protocol's form has them, and its scores as whole numbers, which prompts
    request and soft scores need. A stream without scores has no conversation, nor has an edit
    without annotation; an edit without a source picture has only the PQ conversation. For a judge
    without generation the answers are empty.

    Raises:
        InvalidInputError: the instruction or the answer is unfit for a prompt.
    """
    annotation = edit.label
    if annotation is None or edit.edited is None:
        return []
    if reserved := find_reserved(annotation):
        raise InvalidInputError(f"edit {edit.id}: {reserved}")
    pictures = {Slot.SOURCE: edit.sources, Slot.EDITED: (edit.edited,)}
    scores, conversations = annotation.scores, []
    if protocol.answer is AnswerForm.NONE:
        instruction = _instruction(edit) if scores.is_semantic else ""
        return [
            unanswered(edit.id, stream, instruction, pictures, protocol)
            for stream, names in SCORES_OF.items()
            if names[0] in scores.given()
        ]
    if scores.editing_success is not None and scores.over_editing is not None:
        parts = protocol.semantic_parts(_instruction(edit))
        answer = _semantic_answer(
            edit.id, annotation, (scores.editing_success, scores.over_editing)
        )
        text = render_semantic(answer, protocol.answer)
        asked = fill(parts, pictures)
        conversations.append(conversation(edit.id, Streams.SEMANTIC, asked, text))
    if scores.naturalness is not None and scores.artifact_freedom is not None:
        parts = protocol.perceptual_parts()
        pair = _whole((scores.naturalness, scores.artifact_freedom))
        answered = PerceptualAnswer(reasoning=annotation.pq_reasoning, score=pair)
        text = render_perceptual(answered, protocol.answer)
        asked = fill(parts, pictures)
        conversations.append(conversation(edit.id, Streams.PERCEPTUAL, asked, text))
    return conversations


def unanswered(
    name: str,
    stream: Streams,
    instruction: str,
    pictures: Mapping[Slot, tuple[bytes, ...]],
    protocol: Protocol,
) -> Conversation:
    """A stream's question about an edited picture, with an empty answer."""
    if stream is Streams.SEMANTIC:
        parts = protocol.semantic_parts(instruction)
    else:
        parts = protocol.perceptual_parts()
    return conversation(name, stream, fill(parts, pictures), "")


def conversation(name: str, stream: str, asked: Sequence[str | bytes], answer: str) -> Conversation:
    """A question of texts and picture files in reading order, and its answer."""
    question, shown = _question(asked)
    answered = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
    return Conversation(name, stream, question, answered, shown)


def judge_prompts(edit: LabelledEdit, protocol: Protocol) -> list[JudgePrompt]:
    """A judge's questions about an edit, labelled or not: SC if there is a source, and PQ.

    The questions are those of ``sft_conversations``, and of serving.

    Raises:
        InvalidInputError: the instruction is unfit for a prompt.
    """
    if edit.edited is None:
        return []
    pictures = {Slot.SOURCE: edit.sources, Slot.EDITED: (edit.edited,)}
    parts = {Streams.PERCEPTUAL: protocol.perceptual_parts()}
    if edit.sources:
        parts = {Streams.SEMANTIC: protocol.semantic_parts(_instruction(edit)), **parts}
    return [
        JudgePrompt(edit.id, stream, *_question(fill(one, pictures)))
        for stream, one in parts.items()
    ]


def rl_prompt(edit: LabelledEdit) -> RlPrompt:
    """An editor's task; ignores annotations and the edited picture.

    Raises:
        InvalidInputError: there is no source picture, or the instruction is unfit for a prompt.
    """
    if not edit.sources:
        raise InvalidInputError(f"edit {edit.id}: there is no source picture to edit")
    return RlPrompt(edit.id, _instruction(edit), edit.sources, edit.operation)


def sft_rows(edits: Iterable[LabelledEdit], protocol: Protocol) -> Iterator[dict[str, Any]]:
    """Rows with ``prompt``, ``completion`` and ``images``; one or two an annotated edit.

    For ``datasets.IterableDataset.from_generator(..., features=sft_features())``.
    """
    for edit in edits:
        for conversation in sft_conversations(edit, protocol):
            yield conversation.row()


def rl_rows(edits: Iterable[LabelledEdit]) -> Iterator[dict[str, Any]]:
    """Rows with ``prompt`` (the instruction), ``images`` (the sources) and ``operation``.

    Skips edits without a source picture.
    """
    for edit in edits:
        if edit.sources:
            yield rl_prompt(edit).row()


def sft_features() -> "Features":
    """Columns of ``sft_rows`` for Hugging Face ``datasets``, which then decodes the pictures."""
    from datasets import Features, Image, List, Value

    part = {"type": Value("string"), "text": Value("string")}
    message = {"role": Value("string"), "content": List(part)}
    return Features(
        {
            "prompt": List(message),
            "completion": List(message),
            "images": List(Image()),
            "id": Value("string"),
            "stream": Value("string"),
        }
    )


def rl_features() -> "Features":
    """Columns of ``rl_rows`` for Hugging Face ``datasets``."""
    from datasets import Features, Image, List, Value

    return Features(
        {
            "prompt": Value("string"),
            "images": List(Image()),
            "operation": Value("string"),
            "id": Value("string"),
        }
    )


def _question(asked: Sequence[str | bytes]) -> tuple[Message, tuple[bytes, ...]]:
    """The message of a prompt in reading order, and its pictures."""
    content = [
        {"type": "image", "text": None}
        if isinstance(part, bytes)
        else {"type": "text", "text": part}
        for part in asked
    ]
    shown = tuple(part for part in asked if isinstance(part, bytes))
    return {"role": "user", "content": content}, shown


def _semantic_answer(
    edit: str, annotation: Judgement, scores: tuple[float, float]
) -> SemanticAnswer:
    try:
        return SemanticAnswer(
            edit_region=annotation.regions, reasoning=annotation.sc_reasoning, score=_whole(scores)
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InvalidInputError(
            f"edit {edit}: annotation is no judge's answer: {reason}"
        ) from error


def _whole(scores: tuple[float, float]) -> tuple[int, int]:
    return round(scores[0]), round(scores[1])


def _instruction(edit: LabelledEdit) -> str:
    try:
        return check_instruction(edit.instruction)
    except InvalidInputError as error:
        raise InvalidInputError(f"edit {edit.id}: {error}") from error


def _images(pictures: Sequence[bytes]) -> list[dict[str, bytes | None]]:
    return [{"bytes": picture, "path": None} for picture in pictures]
