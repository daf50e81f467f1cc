"""A packed data set in MLflow: which run read it, by checksum, with its schema and its counts."""

import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from spatialreward.data.packing.manifest import Manifest
from spatialreward.errors import InvalidInputError
from spatialreward.ops.tracking import DIGEST_CHARACTERS, Tracker

if TYPE_CHECKING:
    from mlflow.data.dataset import Dataset
    from mlflow.data.dataset_source import DatasetSource

logger = logging.getLogger(__name__)


def packed_dataset(manifest: Manifest, uri: str, name: str) -> "Dataset":
    """A packed data set as MLflow describes data sets.

    Its digest is the beginning of the manifest's, its schema that of the shards, its profile their
    number and size and the manifest's counts, with the settings it was built with.

    Args:
        manifest: of the data set.
        uri: where its folder is, as ``s3://BUCKET/KEY`` or a path.
        name: what to call it.

    Raises:
        InvalidInputError: MLflow knows no such place as ``uri``.
    """
    from mlflow.data.dataset import Dataset

    class PackedDataset(Dataset):
        def _compute_digest(self) -> str:
            return manifest.digest[:DIGEST_CHARACTERS]

        @property
        def schema(self) -> dict[str, list[dict[str, object]]]:
            return _schema()

        @property
        def profile(self) -> dict[str, object]:
            return _profile(manifest)

        def to_dict(self) -> dict[str, str]:
            more = {"schema": json.dumps(self.schema), "profile": json.dumps(self.profile)}
            return super().to_dict() | more

    return PackedDataset(_source(uri), name)


def log_packed(
    tracker: Tracker, manifest: Manifest, uri: str, *, name: str, context: str = "training"
) -> None:
    """Note that a run read (or made) a packed data set; without a server, in the log only.

    As with all that a tracker records, a server that cannot take it costs the note, not the work.

    Args:
        tracker: of the run.
        manifest: of the data set.
        uri: where its folder is.
        name: what to call it.
        context: what for, such as ``training`` or ``building``.

    Raises:
        InvalidInputError: MLflow knows no such place as ``uri``.
    """
    logger.info(
        "data set %s: %d edits, %s, sha256 %s", name, manifest.num_edits, uri, manifest.digest
    )
    tracker.log_input(
        name, lambda: packed_dataset(manifest, uri, name)._to_mlflow_entity(), context
    )


def _source(uri: str) -> "DatasetSource":
    from mlflow.data.dataset_source_registry import get_dataset_source_from_json
    from mlflow.exceptions import MlflowException

    # By its kind, as MLflow's guess from the URI warns that there are two local ones.
    scheme = urlsplit(uri).scheme
    kind = "local" if scheme in ("", "file") else scheme
    try:
        return get_dataset_source_from_json(json.dumps({"uri": uri}), kind)
    except MlflowException as error:
        raise InvalidInputError(f"data set at {uri!r}: {error.message}") from error


def _schema() -> dict[str, list[dict[str, object]]]:
    """The shards' columns, in the form in which MLflow's pages show a schema."""
    from spatialreward.data.packing.schema import SCHEMA

    columns = [
        {"type": str(field.type), "name": field.name, "required": not field.nullable}
        for field in SCHEMA
    ]
    return {"mlflow_colspec": columns}


def _profile(manifest: Manifest) -> dict[str, object]:
    return {
        "num_rows": manifest.num_edits,
        "num_shards": len(manifest.shards),
        "size_bytes": sum(shard.size_bytes for shard in manifest.shards),
        "sha256": manifest.digest,
        "counts": manifest.counts,
        "left_out": manifest.left_out,
        "schema_version": manifest.schema_version,
        "made_by": manifest.made_by,
        "config": manifest.config,
    }
