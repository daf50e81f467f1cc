"""Steps of data building: one shard at a time, then all of them in one folder.

Existing data sets are imported, because later steps read only artifacts of the object store.
"""

from collections.abc import Sequence
from pathlib import Path

from spatialreward.artifacts import ArtifactRef
from spatialreward.data.dataset import DatasetRef
from spatialreward.data.packing.manifest import FILE_NAME
from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.config import NoSettings, ShardStep
from spatialreward.ops.step import Outputs, Step, run_step
from spatialreward.storage import ObjectStore
from spatialreward.world import building


def build_shard(config: ShardStep, parent_run_id: str) -> str:
    """Build one shard; returns its reference."""

    def work(step: Step) -> Outputs:
        folder = step.new_folder("shard")
        count = building.build_shard(config.world, config.split, config.shard, folder)
        return {"shard": step.keep(folder), "data/num_edits": count}

    # The pictures in a folder may change under one path.
    photos = config.world.photos
    inputs = {"photos": digest_folder(Path(photos))} if photos else {}
    outputs = run_step("build-shard", config, inputs, work, parent_run_id=parent_run_id)
    return str(outputs["shard"])


def merge_shards(shards: Sequence[str], parent_run_id: str) -> str:
    """Merge shards; returns the data set's reference."""
    inputs = {f"shard-{number}": ref for number, ref in enumerate(shards)}

    def work(step: Step) -> Outputs:
        folder = step.new_folder("data")
        merged = building.merge_shards([step.fetch(name) for name in inputs], folder)
        sizes = {"data/num_shards": len(inputs), "data/num_edits": merged.num_edits}
        return {"data": step.keep(folder), **sizes}

    outputs = run_step("merge-shards", NoSettings(), inputs, work, parent_run_id=parent_run_id)
    return str(outputs["data"])


def import_data(reference: str, parent_run_id: str) -> str:
    """Import a packed data set into the object store, unless it is there; returns its reference.

    Raises:
        InvalidInputError: it is not a packed data set.
        StorageError: the store lacks the referenced artifact.
    """
    ref = DatasetRef.parse(reference)
    if isinstance(ref.place, ArtifactRef):
        ObjectStore.from_environment().read_manifest(ref.place)
        return reference
    data = ref.open()
    files = [shard.path for shard in data.shards]
    manifest = files[0].with_name(FILE_NAME)

    def work(step: Step) -> Outputs:
        folder = step.new_folder("data")
        folder.mkdir()
        for path in [*files, *([manifest] if manifest.is_file() else [])]:
            (folder / path.name).symlink_to(path.resolve())
        return {"data": step.keep(folder), "data/num_edits": len(data)}

    inputs = {"data": data.digest}
    outputs = run_step("import-data", NoSettings(), inputs, work, parent_run_id=parent_run_id)
    return str(outputs["data"])
