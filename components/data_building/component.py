"""Data building as the pipeline sees it."""

from kfp import dsl

IMAGE = "spatialreward/data-building:0.1.0"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def build_shard(config: str, split: str, shard: int, parent_run_id: str) -> str:
    """Build one shard of a split; returns its reference."""
    from components.data_building.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(
        app, "build-shard", config=config, split=split, shard=shard, parent_run_id=parent_run_id
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def merge_shards(shards: list, parent_run_id: str) -> str:
    """Gather shards in one data set; returns its reference."""
    from components.data_building.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(app, "merge-shards", shards=shards, parent_run_id=parent_run_id)
