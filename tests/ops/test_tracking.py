import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric
from PIL import Image

from spatialreward.ops.tracking import TrackingError, metric_name, open_run
from spatialreward.stack.ports import free_ports


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
        tracker.log_dataset("edits", "s3://steps/edits", "0" * 64, "training")
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"batch_size": "32", "seed": "7"}
    history = client.get_metric_history(tracker.run_id, "loss/semantic")
    assert [(one.step, one.value) for one in history] == [(50, 0.5), (100, 0.25)]
    assert set(artifacts(client, tracker.run_id)) == {"note.txt", "samples"}
    assert run.inputs.dataset_inputs[0].dataset.name == "edits"
    assert run.data.tags["profile"] == "tiny"


@given(st.text(min_size=1, max_size=300))
@example("operation/move+add")
@example("/../a//.b/")
@example("reward/" + "x" * 243 + "/y")
def test_a_metric_may_be_named_by_what_a_data_set_says(name):
    _validate_metric(metric_name(name), 0.5, 0, 0)


def test_usual_names_stay_as_they_are():
    for name in (
        "loss/semantic",
        "judge/mean_iou",
        "policy/ratio/step_03",
        "operation/改 颜色",
        "a:b",
    ):
        assert metric_name(name) == name


def test_a_step_is_a_child_of_its_pipeline_run(client):
    with open_run("pipeline") as parent, open_run("step", parent_run_id=parent.run_id) as child:
        assert child.run_id != parent.run_id
    tags = client.get_run(child.run_id).data.tags
    assert tags["mlflow.parentRunId"] == parent.run_id


def test_an_experiment_opens_in_the_view_for_training(client, monkeypatch):
    kind = "mlflow.experimentKind"
    client.create_experiment("older")
    theirs = client.create_experiment("theirs", tags={kind: "genai_development"})
    for name in ("new", "older", "theirs"):
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
        with open_run("train"):
            pass
    for name in ("new", "older"):
        tags = client.get_experiment_by_name(name).tags
        assert tags[kind] == "custom_model_development"
    # A user has chosen that view.
    assert client.get_experiment(theirs).tags[kind] == "genai_development"


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


def test_more_parameters_than_one_request_takes_are_all_kept(client):
    params = {f"group.{number}": str(number) for number in range(250)}
    with open_run("pipeline") as tracker:
        tracker.log_params(params)
    assert client.get_run(tracker.run_id).data.params == params


def test_what_the_server_refuses_later_is_warned_of(client, caplog):
    with open_run("train") as tracker:
        tracker.log_params({"seed": 1})
        tracker.log_params({"seed": 2})
    assert "parameters not recorded" in caplog.text
    assert client.get_run(tracker.run_id).info.status == "FINISHED"
