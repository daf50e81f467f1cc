"""What a model is asked and what it should answer, for each thing it can be trained on.

Four tasks describe (they are the grounded base's whole repertoire) and two judge. A judgement says
what was asked for, then describes the differences with a verdict behind each, so fine-tuning adds
to what the base says and takes nothing away.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from spatialreward.judges.interface import Edit
from spatialreward.judges.questions import Question, perceptual_question, semantic_question
from spatialreward.protocol.parsing import PerceptualAnswer, SemanticAnswer
from spatialreward.protocol.prompts import Protocol
from spatialreward.protocol.rendering import render_perceptual, render_semantic
from spatialreward.training.examples import JudgingTask
from spatialreward.training.loop import Example
from spatialreward.world.operations import ChangeBackground, apply, cells_of
from spatialreward.world.samples import SceneSample, World
from spatialreward.world.scene import GRID, Scene
from spatialreward.world.truth import Change, Truth

DescribingTask = Literal["scenes", "differences", "artifacts", "request"]
Task = DescribingTask | JudgingTask

_DESCRIBING_PROMPTS: Mapping[Task, str] = MappingProxyType(
    {"scenes": "describe", "differences": "differences", "artifacts": "artifacts"}
)


_WHOLE = "whole"


def scene_example(task: Task, sample: SceneSample, protocol: Protocol) -> Example:
    """What one task teaches with a sample."""
    return Example(answer(task, sample), lambda: question(task, sample, protocol))


def scene_examples(
    task: Task, samples: Iterable[SceneSample], protocol: Protocol
) -> Iterator[Example]:
    """What one task teaches with each of the samples."""
    return (scene_example(task, sample, protocol) for sample in samples)


def question(task: Task, sample: SceneSample, protocol: Protocol) -> Question:
    """The pictures and the prompt of one task."""
    return question_about(task, Edit(*sample.images(), sample.instruction), protocol)


def question_about(task: Task, edit: Edit, protocol: Protocol) -> Question:
    """The same for an edit whose pictures are decoded already."""
    match task:
        case "semantic":
            return semantic_question(protocol, edit)
        case "perceptual":
            return perceptual_question(protocol, edit)
        case "artifacts":
            return Question((edit.edited, _DESCRIBING_PROMPTS[task]))
        case "request":
            return Question((edit.source, edit.edited, f"request: {edit.instruction}"))
        case _:
            return Question((edit.source, edit.edited, _DESCRIBING_PROMPTS[task]))


def answer(task: Task, sample: SceneSample) -> str:
    """The text a perfect model would answer with."""
    truth = sample.truth
    match task:
        case "scenes":
            assert sample.world.edited is not None, "only painted scenes are described"
            return f"{_scene(sample.world.source)} ; {_scene(sample.world.edited)}"
        case "differences":
            changes = (_was(number, change) for number, change in enumerate(truth.changes))
            told = ". ".join(changes) or "same"
            return json.dumps({"edit_region": _regions(truth), "reasoning": told})
        case "artifacts":
            return json.dumps({"reasoning": perceptual_reasoning(truth)})
        case "request":
            return json.dumps({"reasoning": _request(sample.world)})
        case "semantic":
            scores = (round(truth.scores.editing_success), round(truth.scores.over_editing))
            told = semantic_reasoning(truth, sample.world)
            return render_semantic(
                SemanticAnswer(edit_region=truth.regions, reasoning=told, score=scores)
            )
        case "perceptual":
            scores = (round(truth.scores.naturalness), round(truth.scores.artifact_freedom))
            told = perceptual_reasoning(truth)
            return render_perceptual(PerceptualAnswer(reasoning=told, score=scores))


def semantic_reasoning(truth: Truth, world: World) -> str:
    """What was asked for, what became of each region, and how much of it is done."""
    return f"{_request(world)}. {_verdicts(truth, world)}"


def perceptual_reasoning(truth: Truth) -> str:
    """The artifact that spoils the picture, or that there is none."""
    return f"<|global|> {truth.fault or 'clean'}"


def _scene(scene: Scene) -> str:
    things = [f"{_place(cell)} {thing}" for cell, thing in scene.in_reading_order()]
    return ", ".join([scene.background, *things])


def _request(world: World) -> str:
    """What the instruction asks for, found in the source: places, and what they should hold."""
    parts = [
        thing if place == _WHOLE else f"{place} {thing}" for place, thing in _wanted(world).items()
    ]
    return f"asked {', '.join(parts)}"


def _wanted(world: World) -> dict[str, str]:
    """What should be in each place that the instruction is about."""
    desired = world.source
    for operation in world.operations:
        desired = apply(desired, operation)
    wanted = {}
    for operation in world.operations:
        if isinstance(operation, ChangeBackground):
            wanted[_WHOLE] = f"{operation.background} background"
        for cell in cells_of(operation):
            wanted[_place(cell)] = str(desired.objects.get(cell, "nothing"))
    return wanted


def _place(cell: int) -> str:
    return f"{cell // GRID + 1} {cell % GRID + 1}"


def _regions(truth: Truth) -> list[dict[str, object]]:
    return [region.model_dump() for region in truth.regions]


def _was(number: int, change: Change) -> str:
    """What became of a region; the label has told what is there now, unless it is gone."""
    return f"<|bbox_{number}|> " + ("gone" if change.after == "nothing" else f"was {change.before}")


def _verdicts(truth: Truth, world: World) -> str:
    """What became of each region, attribute by attribute beside what was asked of it.

    What is to be compared stands side by side (before, asked for, now), with what the comparison
    comes to behind it: told apart by whole phrases, a small model takes all edits for right.
    """
    wanted = _wanted(world)
    told = [
        f"{_region(number, change, wanted)}, {change.verdict}. "
        for number, change in enumerate(truth.changes)
    ]
    extra = sum(change.verdict == "not asked" for change in truth.changes)
    return "".join(told) + f"<|global|> {truth.done} of {truth.asked} done, {extra} not asked"


def _region(number: int, change: Change, wanted: Mapping[str, str]) -> str:
    place = _WHOLE if change.cell is None else _place(change.cell)
    was = f"<|bbox_{number}|> {place} was {change.before}"
    if place not in wanted:
        return was
    asked = wanted[place]
    if "nothing" in (asked, change.after):
        return f"{was}, asked {asked}, is {change.after}"
    before = change.before.split() if change.before != "nothing" else ["nothing"] * 3
    compared = (
        f"{old} {new} {now}{_became(old, new, now)}"
        for old, new, now in zip(before, asked.split(), change.after.split(), strict=True)
    )
    return f"{was}, {', '.join(compared)}"


def _became(before: str, asked: str, now: str) -> str:
    if before == asked:
        return "" if now == asked else " gone"
    return " done" if now == asked else " wrong"
