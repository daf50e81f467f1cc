"""Container entry of data building."""

import json
from typing import Annotated, Literal

import typer

from spatialreward.cli.container import Config, ParentRunId, container_entry

app = container_entry("Builds data sets of edits, shard by shard.")


@app.command()
def build_shard(
    config: Config,
    split: Annotated[Literal["train", "heldout"], typer.Option()],
    shard: Annotated[int, typer.Option(min=0, help="Number of the shard, from 0.")],
    parent_run_id: ParentRunId = "",
) -> str:
    """Build one shard of a split and answer with its reference. The settings are a DataConfig."""
    from components.data_building import steps
    from spatialreward.config import ShardStep, read_settings
    from spatialreward.data.config import DataConfig

    world = read_settings(DataConfig, config, "--config")
    return steps.build_shard(ShardStep(world=world, split=split, shard=shard), parent_run_id)


@app.command()
def merge_shards(
    shards: Annotated[str, typer.Option(metavar="JSON", help="List of references of shards.")],
    parent_run_id: ParentRunId = "",
) -> str:
    """Gather shards in one data set and answer with its reference."""
    from components.data_building import steps

    return steps.merge_shards(json.loads(shards), parent_run_id)


if __name__ == "__main__":
    app()
