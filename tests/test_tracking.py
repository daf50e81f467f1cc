import logging

import pytest
from mlflow import MlflowClient
from PIL import Image

from spatialreward.stack import Service, StackConfig, environment, running_stack
from spatialreward.stack.ports import free_ports
from spatialreward.tracking import (
    TrackingError,
    open_run,
    register_model,
    resolve_model,
    set_alias,
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    config = StackConfig(
        state_dir=tmp_path_factory.mktemp("tracking"), without=frozenset({Service.TRITON})
    )
    with running_stack(config) as endpoints:
        yield endpoints


@pytest.fixture
def client(servers, monkeypatch, tmp_path):
    for name, value in environment(servers).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("SPATIALREWARD_CACHE", str(tmp_path / "cache"))
    return MlflowClient(servers.mlflow.tracking_uri)


def artifacts(client, run_id, folder=None):
    return [one.path for one in client.list_artifacts(run_id, folder)]


def test_a_run_keeps_parameters_metrics_pictures_and_data_sets(client, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("words")
    with open_run("train", tags={"profile": "tiny"}) as tracker:
        tracker.log_params({"batch_size": 32, "seed": 7})
        tracker.log_metrics({"loss/semantic": 0.5}, step=50)
        tracker.log_metrics({"loss/semantic": 0.25}, step=100)
        tracker.log_image(Image.new("RGB", (8, 8), "red"), "samples/first.png")
        tracker.log_file(note)
        tracker.log_dataset("edits", "s3://steps/edits.tar", "0" * 64, "training")
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"batch_size": "32", "seed": "7"}
    history = client.get_metric_history(tracker.run_id, "loss/semantic")
    assert [(one.step, one.value) for one in history] == [(50, 0.5), (100, 0.25)]
    assert set(artifacts(client, tracker.run_id)) == {"note.txt", "samples"}
    assert run.inputs.dataset_inputs[0].dataset.name == "edits"
    assert run.data.tags["profile"] == "tiny"


def test_a_step_is_a_child_of_its_pipeline_run(client):
    with open_run("pipeline") as parent, open_run("step", parent_run_id=parent.run_id) as child:
        assert child.run_id != parent.run_id
    tags = client.get_run(child.run_id).data.tags
    assert tags["mlflow.parentRunId"] == parent.run_id


def test_a_run_that_raises_has_failed(client):
    with pytest.raises(ZeroDivisionError), open_run("train") as tracker:
        raise ZeroDivisionError
    assert client.get_run(tracker.run_id).info.status == "FAILED"


def test_an_injected_run_is_used_and_left_to_who_made_it(client, monkeypatch):
    with open_run("platform") as made:
        monkeypatch.setenv("MLFLOW_RUN_ID", made.run_id)
        with open_run("step") as tracker:
            assert tracker.run_id == made.run_id
        assert client.get_run(made.run_id).info.status == "RUNNING"


def test_without_a_server_figures_go_to_the_log(monkeypatch, caplog):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with caplog.at_level(logging.INFO), open_run("train") as tracker:
        tracker.log_metrics({"loss/semantic": 0.5}, step=3)
    assert tracker.run_id is None
    assert "step 3: loss/semantic 0.5" in caplog.text


def test_a_server_that_is_not_there_stops_the_step(monkeypatch):
    with free_ports() as ports:
        port = next(ports)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=f"http://127.0.0.1:{port}"), open_run("train"):
        pytest.fail("the step ran")


def test_what_the_server_refuses_later_is_warned_of(client, caplog):
    with open_run("train") as tracker:
        tracker.log_params({"seed": 1})
        tracker.log_params({"seed": 2})
    assert "parameters not recorded" in caplog.text
    assert client.get_run(tracker.run_id).info.status == "FINISHED"


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
