import json

import pytest
from minio import Minio

from components.data_building.corpus_steps import (
    gather_edits,
    pack_edits,
    prepare_edits,
    select_edits,
)
from components.data_building.steps import import_data
from spatialreward.artifacts import ArtifactRef
from spatialreward.data.corpus.config import CorpusConfig, CorpusShardStep, CorpusStep
from spatialreward.data.dataset import DatasetRef
from spatialreward.data.packing.manifest import Manifest
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.storage import ObjectStore, StorageError
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig


@pytest.fixture
def steps(s3, tmp_path, monkeypatch):
    """The steps' own folder and store, without MLflow."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("SPATIALREWARD_CACHE", str(tmp_path / "cache"))


def test_gathered_shards_are_an_artifact_and_are_not_sent_again(steps, tmp_path, monkeypatch):
    config = CorpusConfig.model_validate(
        {"name": "gathered", "source": {"kind": "world", "count": 6}, "num_shards": 2}
    )
    shards = [prepare_edits(CorpusShardStep(corpus=config, shard=n), "") for n in range(2)]
    parts = json.loads(select_edits(CorpusStep(corpus=config), shards, ""))
    packed = [pack_edits(config, part, "") for part in parts]
    sent, put_object = [], Minio.put_object

    def record(self, bucket, key, *args, **more):
        sent.append(key)
        return put_object(self, bucket, key, *args, **more)

    monkeypatch.setattr(Minio, "put_object", record)
    ref = ArtifactRef.parse(gather_edits(CorpusStep(corpus=config), packed, ""))
    location = ref.uri
    key = location.removeprefix("s3://spatialreward/")
    assert f"{key}/manifest.json" in sent
    assert sent[-1] == f"{key}/artifact.json"
    assert not [one for one in sent if one.endswith(".parquet")]
    store = ObjectStore.from_environment()
    data = DatasetRef.parse(str(ref)).open()
    manifest = Manifest.model_validate(store.get_json(f"{location}/manifest.json"))
    assert (len(data), data.digest) == (6, manifest.digest)
    assert digest_folder(tmp_path / "cache" / "data" / ref.sha256[:16]) == ref.sha256
    # Nothing is answered from a marker whose shards are gone.
    store.remove(f"{location}/{data.shards[0].path.name}")
    with pytest.raises(
        InvalidInputError, match=r"parquet: missing from the store; build .*--rerun"
    ):
        gather_edits(CorpusStep(corpus=config), packed, "")


def test_a_folder_is_brought_to_the_store_and_what_is_there_is_not(steps, tmp_path):
    folder = tmp_path / "edits"
    build_shard(DataConfig(num_train=6, num_shards=1), "train", 0, folder)
    reference = import_data(str(folder), "")
    assert DatasetRef.parse(reference).open().digest == DatasetRef(place=folder).open().digest
    assert import_data(reference, "") == reference
    with pytest.raises(StorageError):
        import_data("s3://spatialreward/nowhere#sha256=" + "0" * 64, "")
    with pytest.raises(InvalidInputError, match="no data set here"):
        import_data(str(tmp_path), "")
