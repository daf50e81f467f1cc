"""Packed data sets of small pictures, for the tests of the loader."""

from pathlib import Path

from PIL import Image

from spatialreward.data.edits import Extent, LabelledEdit, RowOrigin, SpatialPrior
from spatialreward.data.packing.manifest import Manifest, ShardReport, gather, write_manifest
from spatialreward.data.packing.shards import write_shard
from spatialreward.images import encode_png

_NOTHING = SpatialPrior(
    extent=Extent.NOTHING, regions=(), changed_share=0.0, noise=0.0, shift_px=(0.0, 0.0)
)


def edit(number: int) -> LabelledEdit:
    """Edit ``number``, whose pictures are all of one colour that tells the number."""
    colour = (number % 256, number // 256 % 256, 0)
    source, edited = (
        encode_png(Image.new("RGB", (8, 8), (*colour[:2], blue))) for blue in (0, 255)
    )
    return LabelledEdit(
        id=f"edit-{number}",
        instruction=f"paint it in colour {number}",
        sources=(source,),
        edited=edited,
        operation="colour",
        prior=_NOTHING,
        given={"number": float(number)},
        fingerprints=("0" * 16, "f" * 16),
        origin=RowOrigin(file="colours", row=str(number)),
    )


def pack(folder: Path, shard_sizes: list[int], rows_a_group: int) -> Manifest:
    """Edits 0, 1, 2 ... in shards of these sizes, with their manifest, in a new folder."""
    folder.mkdir()
    reports, first = [], 0
    for number, size in enumerate(shard_sizes):
        edits = map(edit, range(first, first + size))
        path = folder / f"train-{number:05d}.parquet"
        shard = write_shard(path, edits, rows_a_group=rows_a_group)
        reports.append(ShardReport(shard=shard, counts={"edits": size}, left_out={}))
        first += size
    manifest = gather(reports, {})
    write_manifest(manifest, folder)
    return manifest
