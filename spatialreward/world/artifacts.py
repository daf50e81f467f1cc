"""Picture artifacts: kinds and strengths."""

from collections.abc import Iterable
from typing import Literal, assert_never, get_args

import numpy as np
from pydantic import Field
from scipy import ndimage

from spatialreward.records import BOX_SCALE, MAX_SCORE, Record
from spatialreward.world.rendering import Picture
from spatialreward.world.scene import Box

ArtifactKind = Literal["noise", "blur", "blocks", "stripes", "tint", "ghost"]
ARTIFACT_KINDS: tuple[ArtifactKind, ...] = get_args(ArtifactKind)
STRENGTH_WORDS = {1: "slight", 2: "clear", 3: "heavy"}

_ARTIFACT_FREEDOM = {1: 17.0, 2: 10.0, 3: 3.0}
# Points of naturalness that each step of strength costs: a tint looks odder than grain.
_NATURALNESS_COST = {"noise": 4, "blur": 5, "blocks": 6, "stripes": 6, "tint": 7, "ghost": 7}


class Artifact(Record):
    """One artifact of a picture: everywhere or, for ``ghost``, in the edited regions."""

    kind: ArtifactKind
    strength: int = Field(ge=1, le=3)

    def __str__(self) -> str:
        """``heavy noise``."""
        return f"{STRENGTH_WORDS[self.strength]} {self.kind}"


def perceptual_scores(artifact: Artifact | None) -> tuple[float, float]:
    """True (naturalness, artifact freedom), each 0..25."""
    if artifact is None:
        return MAX_SCORE, MAX_SCORE
    cost = _NATURALNESS_COST[artifact.kind] * artifact.strength
    return MAX_SCORE - cost, _ARTIFACT_FREEDOM[artifact.strength]


def fault_words(artifact: Artifact | None, artifact_freedom: float) -> str:
    """A picture's artifact in words; empty if it is sound.

    An editor's own flaws are not an artifact of the world. They are described by the strength with
    the nearest artifact freedom: ``slight fault``.
    """
    if artifact is not None:
        return str(artifact)
    freedoms = {0: MAX_SCORE, **_ARTIFACT_FREEDOM}
    strength = min(freedoms, key=lambda one: abs(freedoms[one] - artifact_freedom))
    return f"{STRENGTH_WORDS[strength]} fault" if strength else ""


def spoil(
    edited: Picture,
    source: Picture,
    artifact: Artifact,
    regions: Iterable[Box],
    rng: np.random.Generator,
) -> Picture:
    """Apply the artifact to the edited picture; sizes scale with the resolution.

    Args:
        edited: ``[H, W, 3]`` in 0..255.
        source: the picture before the edit; ``ghost`` lets it shine through.
        artifact: kind and strength.
        regions: edit regions, 0..1000; ``ghost`` stays inside them.
        rng: for the noise.
    """
    height, width = edited.shape[:2]
    strength = artifact.strength
    unit = min(height, width) / 64
    match artifact.kind:
        case "noise":
            deviation = (10.0, 22.0, 44.0)[strength - 1]
            grain = rng.normal(0, deviation, (height, width, 3))
            return np.clip(edited + grain, 0, 255).astype(np.float32)
        case "blur":
            sigma = (0.7, 1.3, 2.2)[strength - 1] * unit
            return ndimage.gaussian_filter(edited, (sigma, sigma, 0))
        case "blocks":
            return _blocks(edited, round((2, 3, 4)[strength - 1] * unit))
        case "stripes":
            depth = (14.0, 30.0, 60.0)[strength - 1]
            phase = np.arange(height) / (2 * unit)
            wave = np.where(np.floor(phase) % 2 == 0, depth, -depth)
            return np.clip(edited + wave[:, None, None], 0, 255).astype(np.float32)
        case "tint":
            share = (0.15, 0.3, 0.5)[strength - 1]
            return edited * (1 - share) + share * np.array((190, 60, 130), np.float32)
        case "ghost":
            share = (0.2, 0.4, 0.6)[strength - 1]
            blended = edited.copy()
            for x1, y1, x2, y2 in regions:
                rows = slice(y1 * height // BOX_SCALE, -(-y2 * height // BOX_SCALE))
                columns = slice(x1 * width // BOX_SCALE, -(-x2 * width // BOX_SCALE))
                inside = (rows, columns)
                blended[inside] = edited[inside] * (1 - share) + source[inside] * share
            return blended
        case _:
            assert_never(artifact.kind)


def _blocks(picture: Picture, side: int) -> Picture:
    side = max(side, 2)
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
    rows, columns = padded.shape[0] // side, padded.shape[1] // side
    means = padded.reshape(rows, side, columns, side, 3).mean(axis=(1, 3))
    return means.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
