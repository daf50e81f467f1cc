"""How well a grounded base describes unseen scenes, differences, artifacts and requests."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError

from spatialreward.data.regions.overlap import matched_iou
from spatialreward.errors import InvalidInputError
from spatialreward.judges.engines.transformers_engine import TransformersEngine
from spatialreward.progress import track
from spatialreward.protocol.prompts import TINY
from spatialreward.reading import parse_json
from spatialreward.records import EditRegion
from spatialreward.world.samples import SceneSample
from spatialreward.world.scene import Scene
from spatialreward.world.targets import DescribingTask, answer, question

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration

    from spatialreward.judges.qwen_vl.processor import Processor

_BATCH = 64
_REGIONS = TypeAdapter(tuple[EditRegion, ...])


class BaseFigures(NamedTuple):
    """Shares of held-out edits that a base describes correctly."""

    cell_accuracy: float
    """Objects of both pictures whose cell the base names, with an object in it."""
    colour_accuracy: float
    """Of the objects whose cell is named, those with the right colour."""
    shape_accuracy: float
    size_accuracy: float
    background_accuracy: float
    difference_iou: float
    """Mean matched IoU of the regions that differ."""
    artifact_accuracy: float
    """Edits whose artifact (or none) is named with its strength."""
    artifact_majority: float
    """Baseline: always the most frequent answer about artifacts."""
    request_accuracy: float
    """Edits for which the base names exactly the requested cells and objects."""


def base_figures(
    model: "Qwen3VLForConditionalGeneration", processor: "Processor", samples: Sequence[SceneSample]
) -> BaseFigures:
    """Run a base on samples and compare its answers with the truth."""
    scenes = _answers(model, processor, "scenes", samples)
    differences = _answers(model, processor, "differences", samples)
    known = [answer("artifacts", sample) for sample in samples]
    ious = [
        matched_iou(sample.truth.regions, _regions(text))
        for sample, text in zip(samples, differences, strict=True)
    ]
    return BaseFigures(
        **_scene_accuracies(samples, scenes),
        difference_iou=float(np.mean(ious)),
        artifact_accuracy=_exact_share(model, processor, "artifacts", samples),
        artifact_majority=max(known.count(one) for one in set(known)) / len(known),
        request_accuracy=_exact_share(model, processor, "request", samples),
    )


def _exact_share(
    model: "Qwen3VLForConditionalGeneration",
    processor: "Processor",
    task: DescribingTask,
    samples: Sequence[SceneSample],
) -> float:
    answers = _answers(model, processor, task, samples)
    pairs = zip(samples, answers, strict=True)
    return _share([answer(task, sample) == text for sample, text in pairs])


def _answers(
    model: "Qwen3VLForConditionalGeneration",
    processor: "Processor",
    task: DescribingTask,
    samples: Sequence[SceneSample],
) -> list[str]:
    engine = TransformersEngine(model, processor, max_answer_tokens=TINY.max_answer_tokens)
    answers: list[str] = []
    starts = range(0, len(samples), _BATCH)
    for start in track(starts, total=len(starts), description=f"describing {task}"):
        asked = [question(task, sample, TINY) for sample in samples[start : start + _BATCH]]
        generated = dict(engine.answer(asked))
        answers += [generated[number].text for number in range(len(asked))]
    return answers


def _scene_accuracies(samples: Sequence[SceneSample], answers: Sequence[str]) -> dict[str, float]:
    backgrounds: list[bool] = []
    cells: list[bool] = []
    attributes: dict[str, list[bool]] = {"size": [], "colour": [], "shape": []}
    for sample, text in zip(samples, answers, strict=True):
        parts = [*text.split(" ; "), "", ""]
        assert sample.world.edited is not None, "only painted scenes are described"
        for scene, words in zip((sample.world.source, sample.world.edited), parts, strict=False):
            named = _named_objects(words)
            backgrounds.append(words.split(",")[0].strip() == scene.background)
            _compare(scene, named, cells, attributes)
    return {
        "cell_accuracy": _share(cells),
        "background_accuracy": _share(backgrounds),
        **{f"{name}_accuracy": _share(right) for name, right in attributes.items()},
    }


def _compare(
    scene: Scene,
    named: Mapping[int, list[str]],
    cells: list[bool],
    attributes: dict[str, list[bool]],
) -> None:
    for cell, thing in scene.in_reading_order():
        cells.append(cell in named)
        if cell in named:
            for (name, right), word in zip(attributes.items(), named[cell], strict=True):
                right.append(getattr(thing, name) == word)


def _named_objects(words: str) -> dict[int, list[str]]:
    """Cells with the three words for their object; skips malformed parts."""
    named = {}
    for part in words.split(",")[1:]:
        row, column, *thing = [*part.split(), "", ""]
        thing = [word for word in thing if word]
        if row.isdigit() and column.isdigit() and len(thing) == 3:
            named[(int(row) - 1) * 4 + int(column) - 1] = thing
    return named


def _regions(text: str) -> tuple[EditRegion, ...]:
    try:
        return _REGIONS.validate_python(parse_json(text)["edit_region"])
    except (InvalidInputError, ValidationError, KeyError, TypeError):
        # An unreadable answer counts as one without regions.
        return ()


def _share(right: Sequence[bool]) -> float:
    return float(np.mean(right)) if right else 0.0
