"""Builds data sets of generated edits, shard by shard."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spatialreward.data.edits import RowOrigin
from spatialreward.data.packing.manifest import (
    FILE_NAME,
    Manifest,
    ShardReport,
    gather,
    read_manifest,
    write_manifest,
)
from spatialreward.data.packing.shards import count_edits, write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.images import encode_png, load_image
from spatialreward.progress import track
from spatialreward.world.artifacts import Artifact, spoil
from spatialreward.world.config import DataConfig, Split
from spatialreward.world.labelling import labelled_edit
from spatialreward.world.rendering import paint, to_image
from spatialreward.world.samples import SceneSample, World
from spatialreward.world.sampling import (
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


def build_shard(config: DataConfig, split: Split, shard: int, out: Path) -> int:
    """Write one shard of a split, a packed data set of its own; returns its number of edits.

    Args:
        config: what to draw.
        split: which of the two streams.
        shard: number of the shard, from 0.
        out: folder of this shard and its manifest.

    Raises:
        InvalidInputError: the shard does not exist, the photos folder holds no usable picture, or
            the folder holds another data set.
    """
    shards = config.num_shards if split == "train" else 1
    if not 0 <= shard < shards:
        raise InvalidInputError(f"shard {shard}: {split} has shards 0..{shards - 1}")
    path = out / f"{split}-{shard:05d}.parquet"
    if (out / FILE_NAME).exists() and [one.name for one in read_manifest(out).shards] != [
        path.name
    ]:
        raise InvalidInputError(f"{out}: another data set is here, expected {path.name} or nothing")
    total = config.num_train if split == "train" else config.num_heldout
    numbers = range(shard * total // shards, (shard + 1) * total // shards)
    if not numbers:
        raise InvalidInputError(
            f"num_shards = {shards}: {split} has {total} edits, fewer than that"
        )
    out.mkdir(parents=True, exist_ok=True)
    photos = photo_names(Path(config.photos)) if config.photos else ()
    edits = (
        labelled_edit(draw_sample(config, split, number, photos), origin_of(config, split, number))
        for number in numbers
    )
    described = track(edits, total=len(numbers), description=f"{split} shard {shard}")
    packed = write_shard(path, described)
    counts = {} if packed is None else count_edits(path)
    report = ShardReport(shard=packed, counts=counts, left_out={})
    settings = {"split": split, "world": config.model_dump(mode="json")}
    write_manifest(gather([report], settings), out)
    return len(numbers)


def merge_shards(folders: list[Path], out: Path) -> Manifest:
    """Gather shards that ``build_shard`` wrote, in one data set.

    Raises:
        InvalidInputError: two shards have the same name, were drawn with different settings, or a
            folder holds none.
    """
    manifests = [read_manifest(folder) for folder in folders]
    for folder, manifest in zip(folders, manifests, strict=True):
        if manifest.config != manifests[0].config:
            raise InvalidInputError(f"{folder}: was drawn with other settings than {folders[0]}")
    merged = gather(itertools.chain.from_iterable(map(_reports, manifests)), manifests[0].config)
    out.mkdir(parents=True, exist_ok=True)
    for folder, manifest in zip(folders, manifests, strict=True):
        for shard in manifest.shards:
            shutil.copyfile(folder / shard.name, out / shard.name)
    write_manifest(merged, out)
    return merged


def origin_of(config: DataConfig, split: Split, number: int) -> RowOrigin:
    """Where sample ``number`` of a split comes from."""
    return RowOrigin(file=f"world seed {config.seed} {split}", row=str(number))


def _reports(manifest: Manifest) -> Iterator[ShardReport]:
    """A manifest's shards; what it counts over all of them stands at the first."""
    for number, shard in enumerate(manifest.shards):
        counts = {} if number else manifest.counts
        yield ShardReport(shard=shard, counts=counts, left_out={})


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
    artifact = None
    if rng.random() < config.artifact_share:
        artifact = draw_artifact(rng, has_regions=edited != source)
    world = World(source=source, operations=operations, edited=edited, look=draw_look(rng, photo))
    truth = truth_of(source, operations, edited, artifact)
    pictures = _paint(world, artifact, config, rng)
    return SceneSample(
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
