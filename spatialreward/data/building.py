"""Builds data sets of generated edits, shard by shard."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spatialreward.data.config import DataConfig
from spatialreward.data.samples import EditSample, Split, World, write_samples
from spatialreward.data.world.artifacts import Artifact, spoil
from spatialreward.data.world.rendering import paint, to_image
from spatialreward.data.world.sampling import (
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
from spatialreward.data.world.scene import Scene
from spatialreward.data.world.truth import truth_of
from spatialreward.errors import InvalidInputError
from spatialreward.images import encode_png, load_image
from spatialreward.progress import track

_PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# Splits draw from different streams, so no held-out sample can turn up in training.
_SPLIT_STREAM: dict[Split, int] = {"train": 0, "heldout": 1}


def build_shard(config: DataConfig, split: Split, shard: int, out: Path) -> int:
    """Write one shard of a split into folder ``out``; returns its number of samples.

    Raises:
        InvalidInputError: the shard does not exist, or the photos folder holds no usable picture.
    """
    shards = config.num_shards if split == "train" else 1
    if not 0 <= shard < shards:
        raise InvalidInputError(f"shard {shard}: {split} has shards 0..{shards - 1}")
    total = config.num_train if split == "train" else config.num_heldout
    numbers = range(shard * total // shards, (shard + 1) * total // shards)
    out.mkdir(parents=True, exist_ok=True)
    photos = photo_names(Path(config.photos)) if config.photos else ()
    samples = (draw_sample(config, split, number, photos) for number in numbers)
    described = track(samples, total=len(numbers), description=f"{split} shard {shard}")
    return write_samples(out / f"{split}-{shard:05d}.parquet", described)


def merge_shards(folders: list[Path], out: Path) -> int:
    """Gather the shards of several folders in one; returns the number of shards.

    Raises:
        InvalidInputError: two shards have the same name, or a folder holds none.
    """
    from spatialreward.data.samples import shard_paths

    out.mkdir(parents=True, exist_ok=True)
    paths = [path for folder in folders for path in shard_paths(folder)]
    for path in paths:
        target = out / path.name
        if target.exists():
            raise InvalidInputError(f"{path}: a shard of that name is already in {out}")
        target.write_bytes(path.read_bytes())
    return len(paths)


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
) -> Iterator[EditSample]:
    """``count`` samples of a split, or samples without end, from number ``first`` on."""
    photos = photo_names(Path(config.photos)) if config.photos else ()
    numbers = itertools.count(first) if count is None else range(first, first + count)
    return (draw_sample(config, split, number, photos) for number in numbers)


def draw_sample(
    config: DataConfig, split: Split, number: int, photos: tuple[str, ...] = ()
) -> EditSample:
    """Sample ``number`` of a split; the same for the same seed, whatever else is drawn."""
    rng = np.random.default_rng((config.seed, _SPLIT_STREAM[split], number))
    photo = pick(rng, photos) if photos and rng.random() < 0.5 else ""
    source = draw_scene(rng, background="photo" if photo else None)
    grade, operations, instruction, edited = _draw_edit(rng, source, config)
    artifact = None
    if rng.random() < config.artifact_share:
        artifact = draw_artifact(rng, has_regions=edited != source)
    world = World(source=source, operations=operations, edited=edited, look=draw_look(rng, photo))
    truth = truth_of(source, operations, edited, artifact)
    pictures = _paint(world, artifact, config, rng)
    return EditSample(
        id=f"{split}-{config.seed}-{number}",
        instruction=instruction,
        grade=grade,
        source=pictures[0],
        edited=pictures[1],
        truth=truth,
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
    world: World, artifact: Artifact | None, config: DataConfig, rng: np.random.Generator
) -> tuple[bytes, bytes]:
    size = config.picture_size
    photos = Path(config.photos) if config.photos else None
    before, after = (
        paint(scene, world.look, size, size, photos) for scene in (world.source, world.edited)
    )
    if artifact is not None:
        truth = truth_of(world.source, world.operations, world.edited, artifact)
        after = spoil(after, before, artifact, [change.box for change in truth.changes], rng)
    return encode_png(to_image(before)), encode_png(to_image(after))
