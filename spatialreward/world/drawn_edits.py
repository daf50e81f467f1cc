"""Draws edits for the judge's data: several per instruction, labelled by the world's oracle.

RL asks a judge about edits like these, so a judge should learn from them. The instructions come
from the generated world's training stream, with other numbers than those of painted edits and of
RL's prompts.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from spatialreward.data.edits import LabelledEdit, RowOrigin
from spatialreward.data.packing.manifest import ShardReport, gather, write_manifest
from spatialreward.data.packing.shards import count_edits, write_shard
from spatialreward.editors.sampling import draw_edits
from spatialreward.images import encode_png
from spatialreward.progress import track
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.labelling import edit_task
from spatialreward.world.oracle import oracle_truth
from spatialreward.world.samples import SceneSample
from spatialreward.world.tiny_config import DrawingConfig
from spatialreward.world.tiny_editor import TinyEditor

GRADE = "drawn"
# Painted edits are numbered from 0 and RL's prompts from 10,000,000.
_FIRST_SAMPLE = 5_000_000


def draw_data_set(
    config: DrawingConfig, world: DataConfig, checkpoints: Sequence[Path], out: Path
) -> int:
    """Write a packed data set of drawn edits with label and truth; returns their number.

    Args:
        config: their number, and sampling.
        world: provides sources and instructions.
        checkpoints: editors, such as the stages of one; they take turns by group.
        out: folder of the data set.

    Raises:
        InvalidInputError: a checkpoint is not an editor, or a photo of the world is unreadable.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{GRADE}-00000.parquet"
    edits = labelled_edits(config, world, [TinyEditor.load(folder) for folder in checkpoints])
    shard = write_shard(path, track(edits, total=config.num_edits, description="drawing edits"))
    report = ShardReport(shard=shard, counts=count_edits(path), left_out={})
    settings = {"drawing": config.model_dump(mode="json"), "world": world.model_dump(mode="json")}
    write_manifest(gather([report], settings), out)
    return config.num_edits


def labelled_edits(
    config: DrawingConfig, world: DataConfig, editors: Sequence[TinyEditor]
) -> Iterator[LabelledEdit]:
    """The edits, group by group."""
    photos = Path(world.photos) if world.photos else None
    starts = range(0, config.num_edits, config.group_size)
    samples = draw_samples(world, "train", len(starts), first=_FIRST_SAMPLE)
    for group, (start, sample) in enumerate(zip(starts, samples, strict=True)):
        size = min(config.group_size, config.num_edits - start)
        editor = editors[group % len(editors)]
        drawn = _draw_group(config, editor, sample, group, size, photos)
        for number, one in enumerate(drawn, start):
            origin = RowOrigin(file=f"world seed {world.seed} {GRADE}", row=str(number))
            yield labelled_edit(one.model_copy(update={"id": f"{sample.id}-{number}"}), origin)


def _draw_group(
    config: DrawingConfig,
    editor: TinyEditor,
    sample: SceneSample,
    group: int,
    size: int,
    photos: Path | None,
) -> Iterator[SceneSample]:
    """The sample with other edited pictures, and the truth about each of them."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + group)
    condition = editor.encode([edit_task(sample)]).repeat(size)
    world = sample.world.model_copy(update={"edited": None})
    finished = draw_edits(editor, condition, config.denoising, generator)
    for picture in editor.decode(finished, condition):
        yield sample.model_copy(
            update={
                "grade": GRADE,
                "edited": encode_png(picture),
                "truth": oracle_truth(world, picture, photos),
                "world": world,
            }
        )
