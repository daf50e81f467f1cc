"""The oracle: reads any edited picture of the generated world, and scores it.

The source scene, its look and the operations are known, so a picture can be read: under each
possible background, every cell is matched against all objects and against none, and the background
with the smallest squared error wins. Repainting that scene leaves a residual, which gives the two
perceptual scores. The oracle accepts any picture: noise is read as the nearest scene, with a
residual that shows it is noise.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import BOX_SCALE, Judgement, JudgementStatus, Scores
from spatialreward.world.artifacts import Artifact, spoil
from spatialreward.world.rendering import (
    COLOUR_RGB,
    Look,
    Picture,
    paint,
    paint_background,
    paint_object,
    to_image,
    to_picture,
)
from spatialreward.world.samples import World
from spatialreward.world.scene import (
    COLOURS,
    GRID,
    PLAIN_BACKGROUNDS,
    SHAPES,
    SIZES,
    Background,
    Scene,
    SceneObject,
)
from spatialreward.world.truth import Truth, truth_of

# T versions of the picture, F faults of paint, B backgrounds, N = 16 cells, P pixels of a cell
# K = 8 covers (shape and size), Q = 6 colours, H = 1 + K * Q things a cell may hold
_COVERS = tuple((shape, size) for shape in SHAPES for size in SIZES)
_SMALLEST_SIDE, _LARGEST_SIDE_READ = 32, 128
_WHITE = Look(colour_shift=(255.0, 255.0, 255.0))
_SOFT_FAULTS: tuple[Artifact | None, ...] = (
    None,
    *(Artifact(kind=kind, strength=n) for kind in ("blur", "blocks") for n in (1, 2, 3)),
)
_VEILS = tuple(Artifact(kind=kind, strength=n) for kind in ("tint", "ghost") for n in (1, 2, 3))
# Assume a fault only if it explains this share of a sound picture's residual.
_MIN_EXPLAINED = 0.3
# Mean residual of no artifact and of strengths 1, 2 and 3 in 3,000 samples, with their scores; at
# the last knot both scores reach zero.
_RESIDUALS = (0.5, 15.7, 26.9, 44.9, 70.0)
_NATURALNESS = (25.0, 19.2, 13.3, 7.5, 0.0)
_ARTIFACT_FREEDOM = (25.0, 17.0, 10.0, 3.0, 0.0)
# A picture this close to a sound one in every cell, root mean square in 0..255, counts as sound.
_SOUND_ERROR = 5.0


class Reading(NamedTuple):
    """A picture as read by the oracle."""

    scene: Scene
    """Two of its objects may share colour and shape, unlike in a drawn scene."""
    residual: float
    """Root mean square difference from the repainted scene, 0..255, in the worst cell."""


def read_picture(
    image: Image.Image, source: Scene, look: Look, photos: Path | None = None
) -> Reading:
    """The most likely scene of a picture, and the picture's distance from it.

    Args:
        image: any picture; resized if its sides do not divide into the grid's cells.
        source: the scene before the edit.
        look: paint of source and edited picture.
        photos: folder of the photographs, if the source's background is one.
    """
    picture = _on_the_grid(image)
    scene = _most_likely_scene(_shrunk(picture), source, look, photos)
    height, width = picture.shape[:2]
    difference = picture - np.rint(paint(scene, look, height, width, photos))
    squares_NP3 = _cells(difference).astype(np.float64) ** 2
    return Reading(scene, float(np.sqrt(squares_NP3.mean(axis=(1, 2)).max())))


def _most_likely_scene(picture: Picture, source: Scene, look: Look, photos: Path | None) -> Scene:
    height, width = picture.shape[:2]
    backgrounds = _possible_backgrounds(source)
    canvases = np.stack(
        [_cells(paint_background(name, look, height, width, photos)) for name in backgrounds]
    )
    colours = _colours(look)
    sharp, *soft = (_covers(height, width, fault) for fault in _SOFT_FAULTS)
    cells = _cells(picture)[None]
    errors_FBNH = _squared_errors(cells, canvases, sharp[None], colours)
    if _worst_cell(errors_FBNH) > _SOUND_ERROR**2 * cells[0, 0].size:
        before = paint(source, look, height, width, photos)
        unveiled, weights = zip(*(_unveil(picture, veil, before) for veil in _VEILS), strict=True)
        versions = np.stack([_cells(version) for version in unveiled])
        veiled = _squared_errors(versions, canvases, sharp[None], colours)
        softened = _squared_errors(cells, canvases, np.stack(soft), colours)
        veiled *= np.array(weights, np.float32)[:, None, None, None]
        errors_FBNH = np.concatenate([errors_FBNH, softened, veiled])
    totals_FB = errors_FBNH.min(axis=3).sum(axis=2)
    totals_FB[1:] /= 1 - _MIN_EXPLAINED
    fault, background = np.unravel_index(totals_FB.argmin(), totals_FB.shape)
    best_N = errors_FBNH[fault, background].argmin(axis=1)
    objects = {cell: _thing(int(best)) for cell, best in enumerate(best_N) if best > 0}
    return Scene.model_construct(background=backgrounds[background], objects=objects)


def _worst_cell(errors_FBNH: NDArray[np.float32]) -> float:
    """Error of the worst cell for the best background."""
    best_BN = errors_FBNH[0].min(axis=2)
    return float(best_BN[best_BN.sum(axis=1).argmin()].max())


def _unveil(picture: Picture, veil: Artifact, before: Picture) -> tuple[Picture, float]:
    """Remove a tint or a ghost; returns the picture, and the weight of its squared errors.

    Both mix the picture with something known, so the result of ``spoil`` on black and white
    pictures gives the share and the colour.
    """
    black, white = np.zeros_like(picture), np.full_like(picture, 255)
    whole = [(0, 0, BOX_SCALE, BOX_SCALE)]
    rng = np.random.default_rng(0)  # Neither fault uses random numbers.
    mixed_in = spoil(black, before, veil, whole, rng)
    kept = float((spoil(white, before, veil, whole, rng) - mixed_in)[0, 0, 0]) / 255
    return (picture - mixed_in) / kept, kept**2


def _possible_backgrounds(source: Scene) -> tuple[Background, ...]:
    if source.background in PLAIN_BACKGROUNDS:
        return PLAIN_BACKGROUNDS
    return (source.background, *PLAIN_BACKGROUNDS)


def _on_the_grid(image: Image.Image) -> Picture:
    """The picture, resized if its sides do not divide into the grid's cells."""
    sides = tuple(max(_SMALLEST_SIDE, side - side % GRID) for side in image.size)
    if sides != image.size:
        image = image.convert("RGB").resize(sides, Image.Resampling.BILINEAR)
    return to_picture(image)


def _shrunk(picture: Picture) -> Picture:
    """Shrink for fast matching: a cell's content does not depend on its finest pixels."""
    sides = tuple(min(side, _LARGEST_SIDE_READ) for side in picture.shape[1::-1])
    if sides == picture.shape[1::-1]:
        return picture
    return to_picture(to_image(picture).resize(sides, Image.Resampling.BOX))


def _cells(picture: NDArray) -> NDArray[np.float32]:
    """``[H, W, 3]`` to ``[N, P, 3]``."""
    height, width = picture.shape[:2]
    cut = picture.reshape(GRID, height // GRID, GRID, width // GRID, 3).transpose(0, 2, 1, 3, 4)
    return cut.reshape(GRID * GRID, -1, 3).astype(np.float32)


def _squared_errors(
    pictures_TNP3: NDArray,
    canvases_BNP3: NDArray,
    covers_FNKP: NDArray,
    colours_Q3: NDArray,
) -> NDArray[np.float32]:
    """Squared error of every reading of every cell, ``[T * F, B, N, H]``; H starts with "empty".

    With cover ``c``, colour ``q``, background ``b`` and ``d = picture - b`` the error of an object
    is ``sum((d - c (q - b))^2)``; expanded, it needs only a few sums per cover.
    """
    d = pictures_TNP3[:, None] - canvases_BNP3  # [T, B, N, P, 3]
    b = canvases_BNP3[None]
    empty_TBN = (d**2).sum(axis=(3, 4))
    c = covers_FNKP[:, None, None]  # [F, 1, 1, N, K, P]
    # The cross term c d (q - b), then the object's own, c^2 (q - b)^2.
    cross = (c @ d) @ colours_Q3.T - c @ (d * b).sum(4)[..., None]
    own = (
        (c**2).sum(axis=5)[..., None] * (colours_Q3**2).sum(axis=1)
        - 2 * (c**2 @ b) @ colours_Q3.T
        + c**2 @ (b**2).sum(4)[..., None]
    )
    objects = empty_TBN[..., None, None] - 2 * cross + own  # [F, T, B, N, K, Q]
    flat = objects.reshape(*objects.shape[:4], -1)
    empty = np.broadcast_to(empty_TBN[..., None], (*flat.shape[:4], 1))
    errors = np.concatenate([empty, flat], axis=4)
    return errors.reshape(-1, *errors.shape[2:])


def _thing(index: int) -> SceneObject:
    shape, size = _COVERS[(index - 1) // len(COLOURS)]
    return SceneObject(shape=shape, size=size, colour=COLOURS[(index - 1) % len(COLOURS)])


def _colours(look: Look) -> NDArray[np.float32]:
    painted = np.array([COLOUR_RGB[colour] for colour in COLOURS]) + np.array(look.colour_shift)
    return np.clip(painted, 0, 255).astype(np.float32)


@lru_cache(maxsize=32)
def _covers(height: int, width: int, fault: Artifact | None) -> NDArray[np.float32]:
    """``[N, K, P]``: share of each pixel that each kind of object covers in each cell."""
    rng = np.random.default_rng(0)  # Neither blur nor blocks draw anything.
    shape = (GRID * GRID, len(_COVERS), height * width // GRID**2)
    covers = np.empty(shape, np.float32)
    for number, (kind, size) in enumerate(_COVERS):
        thing = SceneObject(shape=kind, size=size, colour="red")
        for cell in range(GRID * GRID):
            canvas = np.zeros((height, width, 3), np.float32)
            paint_object(canvas, cell, thing, _WHITE)
            if fault is not None:
                canvas = spoil(canvas, canvas, fault, (), rng)
            covers[cell, number] = _cells(canvas)[cell, :, 0] / 255
    return covers


def oracle_scores(world: World, edited: Image.Image, photos: Path | None = None) -> Scores:
    """The four scores of any picture for a generated request.

    Success and over-editing follow from the scene that the picture shows, as ``truth_of`` gives
    them; see ``perceptual_scores_of`` for the other two.
    """
    reading = read_picture(edited, world.source, world.look, photos)
    return _scores(_truth(world, reading), reading)


def oracle_truth(world: World, edited: Image.Image, photos: Path | None = None) -> Truth:
    """The truth of any picture for a generated request."""
    reading = read_picture(edited, world.source, world.look, photos)
    truth = _truth(world, reading)
    return truth.model_copy(update={"scores": _scores(truth, reading)})


def oracle_reward(world: World, edited: Image.Image, photos: Path | None = None) -> float:
    """A perfect judge's reward in [0, 1]."""
    return Aggregation().reward(oracle_scores(world, edited, photos))


def oracle_judgement(world: World, edited: Image.Image, photos: Path | None = None) -> Judgement:
    """A perfect judge's regions, scores and reward."""
    reading = read_picture(edited, world.source, world.look, photos)
    truth = _truth(world, reading)
    scores = _scores(truth, reading)
    return Judgement(
        status=JudgementStatus.OK,
        regions=truth.regions,
        sc_reasoning="; ".join(
            f"{change.before} to {change.after}: {change.verdict}" for change in truth.changes
        ),
        pq_reasoning=f"residual {reading.residual:.1f}",
        scores=scores,
        reward=Aggregation().reward(scores),
    )


def perceptual_scores_of(residual: float) -> tuple[float, float]:
    """(naturalness, artifact freedom), each 0..25, of a picture with this residual.

    Linear interpolation between the world's own artifacts: the mean residual of each strength, over
    all kinds, maps to that strength's scores, over all kinds.
    """
    naturalness = np.interp(residual, _RESIDUALS, _NATURALNESS)
    return float(naturalness), float(np.interp(residual, _RESIDUALS, _ARTIFACT_FREEDOM))


def _truth(world: World, reading: Reading) -> Truth:
    return truth_of(world.source, world.operations, reading.scene, artifact=None)


def _scores(truth: Truth, reading: Reading) -> Scores:
    naturalness, freedom = perceptual_scores_of(reading.residual)
    known = {"naturalness": naturalness, "artifact_freedom": freedom}
    return truth.scores.model_copy(update=known)
