"""The steps of data building: a shard at a time, then all of them in one folder."""

from collections.abc import Sequence
from pathlib import Path

from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.config import NoSettings, ShardStep
from spatialreward.ops.step import Outputs, Step, run_step
from spatialreward.world import building


def build_shard(config: ShardStep, parent_run_id: str) -> str:
    """Build one shard; returns its reference."""

    def work(step: Step) -> Outputs:
        folder = step.new_folder("shard")
        count = building.build_shard(config.world, config.split, config.shard, folder)
        return {"shard": step.keep(folder), "data/num_edits": count}

    # The pictures behind a path may change while the path stays.
    photos = config.world.photos
    inputs = {"photos": digest_folder(Path(photos))} if photos else {}
    outputs = run_step("build-shard", config, inputs, work, parent_run_id=parent_run_id)
    return str(outputs["shard"])


def merge_shards(shards: Sequence[str], parent_run_id: str) -> str:
    """Gather shards; returns the data set's reference."""
    inputs = {f"shard-{number}": ref for number, ref in enumerate(shards)}

    def work(step: Step) -> Outputs:
        folder = step.new_folder("data")
        merged = building.merge_shards([step.fetch(name) for name in inputs], folder)
        sizes = {"data/num_shards": len(inputs), "data/num_edits": merged.num_edits}
        return {"data": step.keep(folder), **sizes}

    outputs = run_step("merge-shards", NoSettings(), inputs, work, parent_run_id=parent_run_id)
    return str(outputs["data"])
