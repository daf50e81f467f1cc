"""The pipeline interface of data building."""

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
def merge_shards(shards: list, parent_run_id: str, dataset: dsl.Output[dsl.Dataset]) -> str:
    """Merge shards into one data set; returns its reference."""
    from components.data_building.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(app, "merge-shards", shards=shards, parent_run_id=parent_run_id)
    dataset.metadata["reference"] = answer
    return answer


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def import_data(reference: str, parent_run_id: str, dataset: dsl.Output[dsl.Dataset]) -> str:
    """Import a data set into the object store, unless it is there; returns its reference."""
    from components.data_building.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(app, "import-data", reference=reference, parent_run_id=parent_run_id)
    dataset.metadata["reference"] = answer
    return answer


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def prepare_edits(config: str, shard: int, parent_run_id: str) -> str:
    """Read one part of a data set and propose regions; returns references."""
    from components.data_building.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(
        app, "prepare-edits", config=config, shard=shard, parent_run_id=parent_run_id
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def select_edits(config: str, shards: list, final: bool, parent_run_id: str) -> list:
    """Decide over all shards which edits to drop; returns a text for each shard."""
    import json

    from components.data_building.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(
        app, "select-edits", config=config, shards=shards, final=final, parent_run_id=parent_run_id
    )
    return json.loads(answer)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def annotate_edits(config: str, part: str, parent_run_id: str) -> str:
    """Ask the teacher about a shard's edits; returns references."""
    from components.data_building.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(app, "annotate-edits", config=config, part=part, parent_run_id=parent_run_id)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def pack_edits(config: str, part: str, parent_run_id: str) -> str:
    """Write a shard's final Parquet object; returns its entry for the manifest."""
    from components.data_building.__main__ import app
    from spatialreward.cli.container import run_as_task

    return run_as_task(app, "pack-edits", config=config, part=part, parent_run_id=parent_run_id)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gather_edits(
    config: str, packed: list, parent_run_id: str, dataset: dsl.Output[dsl.Dataset]
) -> str:
    """Write manifest and data card; returns the packed data set's reference."""
    from components.data_building.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(
        app, "gather-edits", config=config, packed=packed, parent_run_id=parent_run_id
    )
    dataset.metadata["reference"] = answer
    return answer
