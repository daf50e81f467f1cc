"""Builds data sets of generated edits, shard by shard."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatialreward.data.edits import LabelledEdit, RowOrigin
from spatialreward.data.filters.fingerprints import fingerprint
from spatialreward.data.packing.manifest import (
    FILE_NAME,
    Manifest,
    ShardReport,
    gather,
    read_manifest,
    write_manifest,
)
from spatialreward.data.packing.shards import count_edits, write_shard
from spatialreward.data.regions.proposal import propose
from spatialreward.errors import InvalidInputError
from spatialreward.progress import track
from spatialreward.world.config import DataConfig, Split
from spatialreward.world.drawing import draw_sample, origin_of, photo_names
from spatialreward.world.labelling import scene_edit
from spatialreward.world.samples import SceneSample


def build_shard(config: DataConfig, split: Split, shard: int, out: Path) -> int:
    """Write one shard of a split as a packed data set; returns its number of edits.

    Args:
        config: of the world.
        split: train or held-out.
        shard: index of the shard, from 0.
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
    write_manifest(gather([report], _settings(config, split)), out)
    return len(numbers)


def _settings(config: DataConfig, split: Split) -> dict[str, Any]:
    return {"split": split, "world": config.model_dump(mode="json")}


def build_groups(config: DataConfig, num_tasks: int, group_size: int, out: Path) -> None:
    """Write a packed data set of held-out tasks with several edits each, unless it exists.

    Args:
        config: the world; ignores its candidates and sizes of splits.
        num_tasks: number of tasks.
        group_size: edits of each, with as many grades as possible.
        out: folder of the data set.

    Raises:
        InvalidInputError: the folder holds another data set.
    """
    sizes = {"candidates": (group_size,), "num_heldout": num_tasks * group_size}
    grouped = config.model_copy(update=sizes)
    if not (out / FILE_NAME).exists():
        build_shard(grouped, "heldout", 0, out)
    elif read_manifest(out).config != _settings(grouped, "heldout"):
        raise InvalidInputError(f"{out}: another data set is here, use a new folder")


def merge_shards(folders: list[Path], out: Path) -> Manifest:
    """Merge shards from ``build_shard`` into one data set.

    Raises:
        InvalidInputError: two shards have the same name or different settings, or a folder holds
            none.
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


def _reports(manifest: Manifest) -> Iterator[ShardReport]:
    """A manifest's shards; its total counts are attached to the first."""
    for number, shard in enumerate(manifest.shards):
        counts = {} if number else manifest.counts
        yield ShardReport(shard=shard, counts=counts, left_out={})


def labelled_edit(sample: SceneSample, origin: RowOrigin) -> LabelledEdit:
    """A sample in the packed form, with the spatial prior from its pixels."""
    pictures = sample.images()
    seen = {"prior": propose(*pictures), "fingerprints": tuple(map(fingerprint, pictures))}
    return scene_edit(sample, origin).model_copy(update=seen)
