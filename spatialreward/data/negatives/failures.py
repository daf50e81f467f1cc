"""Pictures that cannot be an edit of a source, and their labels.

The labels use plain words that any tokenizer has; the start of a label before its first region,
such as the request, stays unchanged.
"""

import io

import numpy as np
from PIL import Image, ImageOps

from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import (
    BOX_SCALE,
    MAX_SCORE,
    EditRegion,
    Judgement,
    JudgementStatus,
    Scores,
)

NOT_OF_SOURCE = "no edit of the source"
NOTHING_BUT_BLACK = "nothing but black"
NOTHING_BUT_NOISE = "nothing but noise"
_WHOLE_PICTURE = EditRegion(id=0, label="the whole picture", bbox_2d=(0, 0, BOX_SCALE, BOX_SCALE))
_BEGINNING_OF_REGIONS = "<|"
_EVEN_LEVELS = 8.0


def black(size: tuple[int, int]) -> Image.Image:
    """A black picture, ``(width, height)``."""
    return Image.new("RGB", size)


def noise(size: tuple[int, int], draw: np.random.Generator) -> Image.Image:
    """A picture of uniform noise, ``(width, height)``."""
    width, height = size
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))


def mirrored(picture: Image.Image) -> Image.Image:
    """Swap left and right."""
    return ImageOps.mirror(picture)


def is_even(picture: Image.Image) -> bool:
    """Whether a picture is nearly mirror-symmetric, so that mirroring is no visible edit."""
    levels = np.asarray(picture, np.int16) - np.asarray(mirrored(picture), np.int16)
    return bool(np.abs(levels).mean() < _EVEN_LEVELS)


def to_file(picture: Image.Image) -> bytes:
    """Encode losslessly and fast."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def replaced(label: Judgement, what: str) -> Judgement:
    """The label of an unrelated picture: everything changed, nothing requested."""
    reasoning = f"<|bbox_0|> {what}, not asked. <|global|> nothing is done"
    update = {"editing_success": 0.0, "over_editing": 0.0}
    return _failed(label, label.scores.model_copy(update=update), (_WHOLE_PICTURE,), reasoning)


def unseen(label: Judgement, what: str) -> Judgement:
    """As ``replaced``, for a meaningless picture: nothing in it looks natural."""
    scores = Scores(editing_success=0, over_editing=0, naturalness=0, artifact_freedom=0)
    return replaced(label, what).model_copy(
        update={
            "scores": scores,
            "pq_reasoning": f"<|global|> {what}",
            "reward": Aggregation().reward(scores),
        }
    )


def untouched(label: Judgement) -> Judgement:
    """The label of an unedited source; without quality scores."""
    scores = Scores(editing_success=0, over_editing=MAX_SCORE)
    reasoning = "<|global|> nothing is done, nothing is changed"
    return _failed(label, scores, (), reasoning).model_copy(update={"pq_reasoning": ""})


def semantic_alone(label: Judgement) -> Judgement:
    """The label without its quality part."""
    scores = label.scores.model_copy(update={"naturalness": None, "artifact_freedom": None})
    reward = Aggregation().reward(scores)
    return label.model_copy(update={"scores": scores, "pq_reasoning": "", "reward": reward})


def _failed(
    label: Judgement, scores: Scores, regions: tuple[EditRegion, ...], reasoning: str
) -> Judgement:
    asked = label.sc_reasoning.partition(_BEGINNING_OF_REGIONS)[0]
    return Judgement(
        status=JudgementStatus.OK,
        regions=regions,
        sc_reasoning=f"{asked}{reasoning}",
        pq_reasoning=label.pq_reasoning,
        scores=scores,
        reward=Aggregation().reward(scores),
        judged_by=label.judged_by,
    )
