import pytest

from spatialreward.errors import ArtifactError, InvalidInputError
from spatialreward.ops.registry import (
    ModelVersion,
    bring,
    find_version,
    look_up,
    model_tags,
    register_model,
    set_alias,
)
from spatialreward.ops.tracking import TrackingError, open_run
from spatialreward.storage import ObjectStore
from tests.evaluated import stored_checkpoint


@pytest.fixture
def checkpoint(client, tmp_path):
    """The reference of a folder in the object store."""
    folder = tmp_path / "checkpoint"
    (folder / "sub").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"\0" * 1000)
    (folder / "sub" / "card.json").write_text("{}")
    return stored_checkpoint(folder)


def register(name, ref, tags=None):
    with open_run("train") as tracker:
        return register_model(name, ref, tracker.run_id, tags)


def test_a_registered_model_is_found_by_alias_and_by_version(client, checkpoint):
    first = register("judge", checkpoint, {"pairwise_accuracy": "0.9"})
    second = register("judge", checkpoint)
    assert (first.version, second.version) == (1, 2)
    set_alias(first, "champion")
    found = look_up("models:/judge@champion")
    assert (found.model, found.artifact) == (first, checkpoint)
    assert found.tags == model_tags("models:/judge/1") == {"pairwise_accuracy": "0.9"}
    folder = bring(found)
    assert (folder / "weights.bin").stat().st_size == 1000
    assert (folder / "sub" / "card.json").read_text() == "{}"
    # The same files are here already.
    assert bring(look_up("models:/judge/2")) == folder


def test_mlflow_points_at_the_artifact_and_holds_no_copy(client, checkpoint):
    store = ObjectStore.from_environment()
    before = {one.object_name for one in store.client.list_objects("mlflow", recursive=True)}
    register("pointed", checkpoint)
    assert client.get_model_version("pointed", "1").source == str(checkpoint)
    after = {one.object_name for one in store.client.list_objects("mlflow", recursive=True)}
    assert not [name for name in after - before if "weights" in name]


def test_what_is_not_in_the_store_is_not_registered(client, checkpoint):
    store = ObjectStore.from_environment()
    store.remove(f"{checkpoint.uri}/weights.bin")
    with pytest.raises(ArtifactError, match=r"weights\.bin: is missing"):
        register("incomplete", checkpoint)
    store.remove(checkpoint.manifest_uri)
    with pytest.raises(ArtifactError, match=r"artifact\.json .*NoSuchKey"):
        register("incomplete", checkpoint)
    assert not client.search_registered_models("name = 'incomplete'")


def test_a_copy_that_mlflow_holds_is_named(client):
    client.create_registered_model("copied-by-hand")
    client.create_model_version("copied-by-hand", "s3://mlflow/1/ab/artifacts/model")
    found = look_up(ModelVersion("copied-by-hand", 1).uri)
    with pytest.raises(
        InvalidInputError, match="models:/copied-by-hand/1: its source is no artifact"
    ):
        bring(found)


@pytest.mark.parametrize("uri", ["models:/missing@champion", "models:/missing/3"])
def test_a_model_that_is_not_registered_is_named(client, uri):
    with pytest.raises(TrackingError, match="missing"):
        look_up(uri)


@pytest.mark.parametrize("uri", ["models:/", "models:/judge", "models:/judge@", "models:/a/b"])
def test_a_malformed_model_uri_says_what_is_expected(uri):
    with pytest.raises(TrackingError, match="expected models:/NAME@ALIAS"):
        look_up(uri)


def test_looking_up_needs_a_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(TrackingError, match="set MLFLOW_TRACKING_URI"):
        look_up("models:/judge@champion")


def test_a_version_is_found_by_the_checksum_of_its_artifact(client, checkpoint):
    assert find_version("found", checkpoint.sha256) is None
    made = register("found", checkpoint)
    assert find_version("found", checkpoint.sha256) == made
    assert find_version("found", "cd" * 32) is None
    assert find_version("another", checkpoint.sha256) is None
