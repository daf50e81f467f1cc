"""Prompts and target answers of each training task.

Four tasks describe (the grounded base knows only these) and two judge. A judgement states the
request, then describes the differences with a verdict after each, so fine-tuning extends the base's
answers without removing anything.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeVar

from spatialreward.data.views import Conversation, conversation
from spatialreward.edits import Edit
from spatialreward.judges.questions import Question
from spatialreward.protocol.parsing import PerceptualAnswer, SemanticAnswer
from spatialreward.protocol.prompts import Protocol, Slot, fill
from spatialreward.protocol.rendering import render_perceptual, render_semantic
from spatialreward.records import AnswerForm, Streams
from spatialreward.world.samples import SceneSample
from spatialreward.world.scene import Scene
from spatialreward.world.truth import Change, Truth
from spatialreward.world.wording import perceptual_reasoning, place_of, request, semantic_reasoning

Picture = TypeVar("Picture")
JudgingTask = Literal["semantic", "perceptual"]
DescribingTask = Literal["scenes", "differences", "artifacts", "request"]
Task = DescribingTask | JudgingTask

DESCRIBING: tuple[DescribingTask, ...] = ("differences", "artifacts", "scenes", "request")
_STREAMS: Mapping[Task, Streams] = MappingProxyType(
    {"semantic": Streams.SEMANTIC, "perceptual": Streams.PERCEPTUAL}
)
_DESCRIBING_PROMPTS: Mapping[Task, str] = MappingProxyType(
    {"scenes": "describe", "differences": "differences", "artifacts": "artifacts"}
)


def scene_conversation(task: Task, sample: SceneSample, protocol: Protocol) -> Conversation:
    """A sample's conversation for one task."""
    asked = _asked(task, sample.source, sample.edited, sample.instruction, protocol)
    name = _STREAMS.get(task, task)
    return conversation(sample.id, name, asked, answer(task, sample, protocol.answer))


def question(task: Task, sample: SceneSample, protocol: Protocol) -> Question:
    """The pictures and the prompt of one task."""
    return question_about(task, Edit(*sample.images(), sample.instruction), protocol)


def question_about(task: Task, edit: Edit, protocol: Protocol) -> Question:
    """The same for an edit with decoded pictures."""
    asked = _asked(task, edit.source, edit.edited, edit.instruction, protocol)
    form = protocol.answer if task in _STREAMS else None
    return Question(tuple(asked), edit.options.seed, form)


def _asked(
    task: Task, source: Picture, edited: Picture, instruction: str, protocol: Protocol
) -> Sequence[str | Picture]:
    match task:
        case "semantic":
            pictures = {Slot.SOURCE: (source,), Slot.EDITED: (edited,)}
            return fill(protocol.semantic_parts(instruction), pictures)
        case "perceptual":
            return fill(protocol.perceptual_parts(), {Slot.EDITED: (edited,)})
        case "artifacts":
            return (edited, _DESCRIBING_PROMPTS[task])
        case "request":
            return (source, edited, f"request: {instruction}")
        case _:
            return (source, edited, _DESCRIBING_PROMPTS[task])


def answer(task: Task, sample: SceneSample, form: AnswerForm = AnswerForm.REGIONS) -> str:
    """A perfect model's answer; ``form`` is a judgement's."""
    truth = sample.truth
    match task:
        case "scenes":
            assert sample.world.edited is not None, "only painted scenes are described"
            return f"{_scene(sample.world.source)} ; {_scene(sample.world.edited)}"
        case "differences":
            changes = (_was(number, change) for number, change in enumerate(truth.changes))
            reasoning = ". ".join(changes) or "same"
            return json.dumps({"edit_region": _regions(truth), "reasoning": reasoning})
        case "artifacts":
            return json.dumps({"reasoning": perceptual_reasoning(truth)})
        case "request":
            return json.dumps({"reasoning": request(sample.world)})
        case "semantic":
            scores = (round(truth.scores.editing_success), round(truth.scores.over_editing))
            reasoning = semantic_reasoning(truth, sample.world)
            return render_semantic(
                SemanticAnswer(edit_region=truth.regions, reasoning=reasoning, score=scores), form
            )
        case "perceptual":
            scores = (round(truth.scores.naturalness), round(truth.scores.artifact_freedom))
            reasoning = perceptual_reasoning(truth)
            return render_perceptual(PerceptualAnswer(reasoning=reasoning, score=scores), form)


def _scene(scene: Scene) -> str:
    things = [f"{place_of(cell)} {thing}" for cell, thing in scene.in_reading_order()]
    return ", ".join([scene.background, *things])


def _regions(truth: Truth) -> list[dict[str, object]]:
    return [region.model_dump() for region in truth.regions]


def _was(number: int, change: Change) -> str:
    """The previous content of a region; the label has the current one, unless it is empty."""
    return f"<|bbox_{number}|> " + ("gone" if change.after == "nothing" else f"was {change.before}")
