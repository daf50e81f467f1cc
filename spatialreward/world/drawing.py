"""Draws edits of the generated world: each sample is the same for the same seed and number."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spatialreward.data.edits import RowOrigin
from spatialreward.errors import InvalidInputError
from spatialreward.images import encode_png, load_image
from spatialreward.world.artifacts import Artifact, spoil
from spatialreward.world.config import DataConfig, Split
from spatialreward.world.rendering import paint, to_image
from spatialreward.world.samples import SceneSample, World
from spatialreward.world.sampling import (
    GRADES,
    OPERATION_KINDS,
    CannotDrawError,
    Grade,
    draw_artifact,
    draw_edited_scene,
    draw_look,
    draw_request,
    draw_scene,
    pick,
)
from spatialreward.world.scene import Scene
from spatialreward.world.truth import truth_of

_PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# Splits draw from different streams, so no held-out sample can turn up in training.
_SPLIT_STREAM: dict[Split, int] = {"train": 0, "heldout": 1}
_GROUP_STREAM = 12


def origin_of(config: DataConfig, split: Split, number: int) -> RowOrigin:
    """Where sample ``number`` of a split comes from."""
    return RowOrigin(file=f"world seed {config.seed} {split}", row=str(number))


def photo_names(folder: Path) -> tuple[str, ...]:
    """Names of the pictures in a folder, each checked to be readable.

    Raises:
        InvalidInputError: there is none, or one cannot be read.
    """
    names = tuple(
        sorted(path.name for path in folder.glob("*") if path.suffix.lower() in _PHOTO_SUFFIXES)
    )
    if not names:
        raise InvalidInputError(f"{folder}: no pictures here to use as backgrounds")
    for name in names:
        load_image(folder / name)
    return names


def draw_samples(
    config: DataConfig, split: Split, count: int | None = None, *, first: int = 0
) -> Iterator[SceneSample]:
    """``count`` samples of a split, or samples without end, from number ``first`` on."""
    photos = photo_names(Path(config.photos)) if config.photos else ()
    numbers = itertools.count(first) if count is None else range(first, first + count)
    return (draw_sample(config, split, number, photos) for number in numbers)


def draw_sample(
    config: DataConfig, split: Split, number: int, photos: tuple[str, ...] = ()
) -> SceneSample:
    """Sample ``number`` of a split; the same for the same seed, whatever else is drawn."""
    rng = np.random.default_rng((config.seed, _SPLIT_STREAM[split], number))
    photo = pick(rng, photos) if photos and rng.random() < 0.5 else ""
    source = draw_scene(rng, background="photo" if photo else None)
    grade, operations, instruction, edited = _draw_edit(rng, source, config)
    artifact = _draw_artifact(rng, source, edited, config)
    world = World(source=source, operations=operations, edited=edited, look=draw_look(rng, photo))
    name = f"{split}-{config.seed}-{number}"
    return _sample(name, world, grade, instruction, artifact, config, rng)


def draw_group(config: DataConfig, number: int, size: int) -> list[SceneSample]:
    """Several edits of one task, each of a grade of its own: what a judge has to tell apart.

    The same for the same seed and number; of a stream that no split draws from.
    """
    rng = np.random.default_rng((config.seed, _GROUP_STREAM, number))
    source = draw_scene(rng)
    look = draw_look(rng)
    while True:
        operations, instruction = draw_request(rng, source, pick(rng, OPERATION_KINDS))
        try:
            drawn = [
                (grade, draw_edited_scene(rng, source, operations, grade))
                for grade in rng.choice(GRADES, size=size, replace=size > len(GRADES)).tolist()
            ]
        except CannotDrawError:
            continue
        break
    samples = []
    for place, (grade, edited) in enumerate(drawn):
        artifact = _draw_artifact(rng, source, edited, config)
        world = World(source=source, operations=operations, edited=edited, look=look)
        name = f"group-{config.seed}-{number}-{place}"
        samples.append(_sample(name, world, grade, instruction, artifact, config, rng))
    return samples


def _draw_artifact(
    rng: np.random.Generator, source: Scene, edited: Scene, config: DataConfig
) -> Artifact | None:
    if rng.random() >= config.artifact_share:
        return None
    return draw_artifact(rng, has_regions=edited != source)


def _sample(
    name: str,
    world: World,
    grade: str,
    instruction: str,
    artifact: Artifact | None,
    config: DataConfig,
    rng: np.random.Generator,
) -> SceneSample:
    source, edited = _paint(world, world.edited, artifact, config, rng)
    return SceneSample(
        id=name,
        instruction=instruction,
        grade=grade,
        source=source,
        edited=edited,
        truth=truth_of(world.source, world.operations, world.edited, artifact),
        world=world,
    )


def _draw_edit(rng: np.random.Generator, source: Scene, config: DataConfig) -> tuple:
    names = list(config.grades)
    grade: Grade = names[int(rng.choice(len(names), p=[config.grades[name] for name in names]))]
    while True:
        operations, instruction = draw_request(rng, source, pick(rng, OPERATION_KINDS))
        try:
            edited = draw_edited_scene(rng, source, operations, grade)
        except CannotDrawError:
            continue
        return grade, operations, instruction, edited


def _paint(
    world: World,
    edited: Scene,
    artifact: Artifact | None,
    config: DataConfig,
    rng: np.random.Generator,
) -> tuple[bytes, bytes]:
    size = config.picture_size
    photos = Path(config.photos) if config.photos else None
    before, after = (
        paint(scene, world.look, size, size, photos) for scene in (world.source, edited)
    )
    if artifact is not None:
        truth = truth_of(world.source, world.operations, edited, artifact)
        after = spoil(after, before, artifact, [change.box for change in truth.changes], rng)
    return encode_png(to_image(before)), encode_png(to_image(after))
