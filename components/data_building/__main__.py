"""Container entry of data building."""

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spatialreward.cli.container import Config, ParentRunId, container_entry

if TYPE_CHECKING:
    from spatialreward.data.corpus.config import CorpusConfig

Shard = Annotated[int, typer.Option(min=0, help="Number of the shard, from 0.")]
Shards = Annotated[str, typer.Option(metavar="JSON", help="The previous step's outputs, by shard.")]

Part = Annotated[
    str, typer.Option(metavar="JSON", help="The output of select-edits for the shard.")
]

app = container_entry("Builds data sets of edits, shard by shard.")


@app.command()
def build_shard(
    config: Config,
    split: Annotated[Literal["train", "heldout"], typer.Option()],
    shard: Shard,
    parent_run_id: ParentRunId = "",
) -> str:
    """Build one shard of a split and print its reference. The settings are a DataConfig."""
    from components.data_building import steps
    from spatialreward.ops.config import ShardStep, read_settings
    from spatialreward.world.config import DataConfig

    world = read_settings(DataConfig, config, "--config")
    return steps.build_shard(ShardStep(world=world, split=split, shard=shard), parent_run_id)


@app.command()
def merge_shards(
    shards: Annotated[str, typer.Option(metavar="JSON", help="List of references of shards.")],
    parent_run_id: ParentRunId = "",
) -> str:
    """Merge shards into one data set and print its reference."""
    from components.data_building import steps

    return steps.merge_shards(json.loads(shards), parent_run_id)


@app.command()
def import_data(
    reference: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            help="Packed data set: a folder, s3://...#sha256=HEX or hub:OWNER/NAME@REVISION.",
        ),
    ],
    parent_run_id: ParentRunId = "",
) -> str:
    """Import a data set into the object store, unless it is there, and print its reference."""
    from components.data_building import steps

    return steps.import_data(reference, parent_run_id)


@app.command()
def prepare_edits(config: Config, shard: Shard, parent_run_id: ParentRunId = "") -> str:
    """Read one part of a data set and propose regions. The settings are a CorpusConfig."""
    from components.data_building import corpus_steps
    from spatialreward.data.corpus.config import CorpusShardStep

    step = CorpusShardStep(corpus=_corpus(config), shard=shard)
    return corpus_steps.prepare_edits(step, parent_run_id)


@app.command()
def select_edits(
    config: Config,
    shards: Shards,
    final: Annotated[
        bool, typer.Option(help="After the teacher, if there is one: balance too.")
    ] = True,
    parent_run_id: ParentRunId = "",
) -> str:
    """Decide over all shards which edits to drop."""
    from components.data_building import corpus_steps
    from spatialreward.data.corpus.config import CorpusStep

    step = CorpusStep(corpus=_corpus(config), final=final)
    return corpus_steps.select_edits(step, json.loads(shards), parent_run_id)


@app.command()
def annotate_edits(config: Config, part: Part, parent_run_id: ParentRunId = "") -> str:
    """Ask the teacher about a shard's remaining edits."""
    from components.data_building import corpus_steps

    return corpus_steps.annotate_edits(_corpus(config), part, parent_run_id)


@app.command()
def pack_edits(config: Config, part: Part, parent_run_id: ParentRunId = "") -> str:
    """Write a shard's final Parquet object."""
    from components.data_building import corpus_steps

    return corpus_steps.pack_edits(_corpus(config), part, parent_run_id)


@app.command()
def gather_edits(
    config: Config,
    packed: Annotated[str, typer.Option(metavar="JSON", help="Outputs of pack-edits.")],
    parent_run_id: ParentRunId = "",
) -> str:
    """Write manifest and data card, and print the reference of the packed data set."""
    from components.data_building import corpus_steps
    from spatialreward.data.corpus.config import CorpusStep

    step = CorpusStep(corpus=_corpus(config))
    return corpus_steps.gather_edits(step, json.loads(packed), parent_run_id)


def _corpus(config: str) -> "CorpusConfig":
    from spatialreward.data.corpus.config import CorpusConfig
    from spatialreward.ops.config import read_settings

    return read_settings(CorpusConfig, config, "--config")


if __name__ == "__main__":
    app()
