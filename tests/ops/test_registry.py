import pytest

from spatialreward.ops.registry import (
    find_version,
    model_tags,
    register_model,
    resolve_model,
    set_alias,
)
from spatialreward.ops.tracking import TrackingError, open_run


def test_a_registered_model_is_found_by_alias_and_by_version(client, tmp_path):
    folder = tmp_path / "checkpoint"
    (folder / "sub").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"\0" * 1000)
    (folder / "sub" / "card.json").write_text("{}")
    with open_run("train") as tracker:
        first = register_model("judge", folder, tracker.run_id, {"pairwise_accuracy": "0.9"})
    with open_run("train") as tracker:
        second = register_model("judge", folder, tracker.run_id)
    assert (first.version, second.version) == (1, 2)
    set_alias(first, "champion")
    found = resolve_model("models:/judge@champion")
    assert (found / "weights.bin").stat().st_size == 1000
    assert (found / "sub" / "card.json").read_text() == "{}"
    assert resolve_model("models:/judge/1") == found
    assert resolve_model("models:/judge/2") != found
    assert client.get_model_version("judge", "1").tags == {"pairwise_accuracy": "0.9"}


@pytest.mark.parametrize("uri", ["models:/nobody@champion", "models:/nobody/3"])
def test_a_model_that_is_not_registered_is_named(client, uri):
    with pytest.raises(TrackingError, match="nobody"):
        resolve_model(uri)


@pytest.mark.parametrize("uri", ["models:/", "models:/judge", "models:/judge@", "models:/a/b"])
def test_a_malformed_model_uri_says_what_is_expected(uri):
    with pytest.raises(TrackingError, match="expected models:/NAME@ALIAS"):
        resolve_model(uri)


def test_resolving_needs_a_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(TrackingError, match="set MLFLOW_TRACKING_URI"):
        resolve_model("models:/judge@champion")


def test_a_version_is_found_by_a_tag_of_its(client, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"weights")
    with open_run("train") as tracker:
        made = register_model("found-by-tag", tmp_path, tracker.run_id, {"sha256": "ab" * 32})
    assert find_version("found-by-tag", "sha256", "ab" * 32) == made
    assert find_version("found-by-tag", "sha256", "cd" * 32) is None
    assert find_version("untagged", "sha256", "ab" * 32) is None
    assert model_tags("models:/found-by-tag/1") == {"sha256": "ab" * 32}
