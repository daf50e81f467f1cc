"""Draws edits of the generated world, reproducibly from seed and number."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from spatialreward.data.edits import RowOrigin
from spatialreward.errors import InvalidInputError
from spatialreward.images import encode_png, load_image
from spatialreward.world.artifacts import Artifact, spoil
from spatialreward.world.config import DataConfig, Split
from spatialreward.world.operations import Operation
from spatialreward.world.rendering import paint, to_image
from spatialreward.world.samples import SceneSample, World
from spatialreward.world.sampling import (
    CannotDrawError,
    Grade,
    draw_artifact,
    draw_edited_scene,
    draw_kind,
    draw_look,
    draw_request,
    draw_scene,
    pick,
)
from spatialreward.world.scene import Scene
from spatialreward.world.truth import truth_of

_PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_ATTEMPTS = 20
# Splits use different random streams, so training never contains a held-out sample.
_SPLIT_STREAM: dict[Split, int] = {"train": 0, "heldout": 1}


def origin_of(config: DataConfig, split: Split, number: int) -> RowOrigin:
    """Origin of sample ``number`` of a split."""
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
    """``count`` samples of a split, or endless ones, from number ``first`` on."""
    photos = photo_names(Path(config.photos)) if config.photos else ()
    numbers = itertools.count(first) if count is None else range(first, first + count)
    return (draw_sample(config, split, number, photos) for number in numbers)


def draw_sample(
    config: DataConfig, split: Split, number: int, photos: tuple[str, ...] = ()
) -> SceneSample:
    """Sample ``number`` of a split; depends only on seed and number."""
    task, place = _task_and_place(config.candidates, number)
    stream = (config.seed, _SPLIT_STREAM[split], task)
    rng = np.random.default_rng(stream)
    photo = pick(rng, photos) if photos and rng.random() < 0.5 else ""
    source = draw_scene(rng, "photo" if photo else None, config.small_share)
    grade, operations, instruction, edited = _draw_edit(rng, source, config)
    artifact = _draw_artifact(rng, source, edited, config)
    world = World(source=source, operations=operations, edited=edited, look=draw_look(rng, photo))
    if place:
        rng = np.random.default_rng((*stream, place))
        others = deque(_other_grades(config, stream, grade))
        others.rotate(1 - place)
        grade, edited = _draw_another(rng, source, operations, others)
        artifact = _draw_artifact(rng, source, edited, config)
        world = world.model_copy(update={"edited": edited})
    truth = truth_of(source, operations, edited, artifact)
    pictures = _paint(world, edited, artifact, config, rng)
    return SceneSample(
        id=f"{split}-{config.seed}-{number}",
        instruction=instruction,
        grade=grade,
        source=pictures[0],
        edited=pictures[1],
        truth=truth,
        world=world,
    )


def _task_and_place(candidates: Sequence[int], number: int) -> tuple[int, int]:
    """The task of sample ``number``, and its index among the task's edits."""
    rounds, left = divmod(number, sum(candidates))
    for place, size in enumerate(candidates):
        if left < size:
            return rounds * len(candidates) + place, left
        left -= size
    raise AssertionError(candidates)


def _draw_edit(rng: np.random.Generator, source: Scene, config: DataConfig) -> tuple:
    names = list(config.grades)
    grade: Grade = names[int(rng.choice(len(names), p=[config.grades[name] for name in names]))]
    while True:
        operations, instruction = draw_request(rng, source, draw_kind(rng, config.two_share))
        try:
            edited = draw_edited_scene(rng, source, operations, grade)
        except CannotDrawError:
            continue
        return grade, operations, instruction, edited


def _other_grades(config: DataConfig, stream: tuple[int, ...], first: Grade) -> list[Grade]:
    """Grades of a task's further edits, all different while possible."""
    shares = {name: share for name, share in config.grades.items() if share and name != first}
    if not shares:
        return [first]
    weights = np.array(list(shares.values()))
    order = np.random.default_rng((*stream, 0)).choice(
        len(shares), len(shares), replace=False, p=weights / weights.sum()
    )
    return [list(shares)[place] for place in order]


def _draw_another(
    rng: np.random.Generator,
    source: Scene,
    operations: Sequence[Operation],
    grades: Sequence[Grade],
) -> tuple[Grade, Scene]:
    """The first of the grades that the request allows."""
    for grade in itertools.cycle(grades):
        for _ in range(_ATTEMPTS):
            try:
                return grade, draw_edited_scene(rng, source, operations, grade)
            except CannotDrawError:
                continue
    raise AssertionError(grades)


def _draw_artifact(
    rng: np.random.Generator, source: Scene, edited: Scene, config: DataConfig
) -> Artifact | None:
    if rng.random() >= config.artifact_share:
        return None
    return draw_artifact(rng, has_regions=edited != source)


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
