import json
import logging

import pytest

from spatialreward.ops.logged_models import log_model, log_model_figures
from spatialreward.ops.registry import register_model
from spatialreward.ops.tracking import Tracker, open_run
from tests.evaluated import stored_checkpoint

HELDOUT, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def checkpoint(client, tmp_path, request):
    """The reference of a checkpoint that no other test has."""
    folder = tmp_path / "checkpoint"
    (folder / "sub").mkdir(parents=True)
    (folder / "weights.bin").write_text(request.node.name)
    (folder / "large.json").write_bytes(bytes(1 << 17))
    (folder / "card.json").write_text('{"steps": 3}')
    (folder / "sub" / "protocol.json").write_text("{}")
    return stored_checkpoint(folder)


@pytest.fixture
def models_of(client):
    """The logged models of a checkpoint."""

    def find(ref):
        experiment = client.get_experiment_by_name("spatialreward").experiment_id
        return list(client.search_logged_models([experiment], f"tags.sha256 = '{ref.sha256}'"))

    return find


def test_a_training_makes_a_model_with_its_parameters_and_small_files(
    client, checkpoint, models_of, tmp_path
):
    with open_run("train-judge") as tracker:
        tracker.log_params({"training.steps": 3})
        log_model(tracker, "judge", checkpoint)
    (model,) = models_of(checkpoint)
    assert (model.name, model.status, model.source_run_id) == ("judge", "READY", tracker.run_id)
    assert model.params == {"training.steps": "3"}
    assert model.tags["artifact"] == str(checkpoint)
    (made,) = client.get_run(tracker.run_id).outputs.model_outputs
    assert made.model_id == model.model_id
    names = {file.path for file in client.list_logged_model_artifacts(model.model_id)}
    assert names == {"artifact.json", "card.json", "sub"}


def test_figures_are_the_models_own_by_data_set(client, checkpoint, models_of):
    with open_run("train-judge") as training:
        log_model(training, "judge", checkpoint)
    for sha256, accuracy in ((HELDOUT, 0.9), (OTHER, 0.7)):
        with open_run("evaluate-judge") as tracker:
            figures = {"pairwise_accuracy": accuracy, "failed_share/cut_off": 0.1}
            log_model_figures(tracker, "judge", checkpoint, figures, data=("heldout", sha256))
    (model,) = models_of(checkpoint)
    found = {(one.dataset_digest, one.key): one.value for one in model.metrics}
    assert found == {
        (HELDOUT[:36], "pairwise_accuracy"): 0.9,
        (HELDOUT[:36], "failed_share/cut_off"): 0.1,
        (OTHER[:36], "pairwise_accuracy"): 0.7,
        (OTHER[:36], "failed_share/cut_off"): 0.1,
    }
    assert {one.dataset_name for one in model.metrics} == {"heldout"}
    (read,) = client.get_run(tracker.run_id).inputs.model_inputs
    assert read.model_id == model.model_id


def test_an_evaluation_makes_the_model_that_this_server_does_not_know(
    client, checkpoint, models_of
):
    with open_run("compare-editors") as tracker:
        tracker.log_params({"evaluation.tasks": 3})
        log_model_figures(tracker, "editor", checkpoint, {"gain": 0.1})
    (model,) = models_of(checkpoint)
    assert model.name == "editor"
    # They are not what it was trained with.
    assert model.params == {}
    assert [(one.key, one.dataset_name) for one in model.metrics] == [("gain", None)]


def test_a_model_names_the_versions_that_are_registered_of_it(client, checkpoint, models_of):
    with open_run("train-judge") as tracker:
        log_model(tracker, "judge", checkpoint)
    with open_run("register-judge") as tracker:
        register_model("linked", checkpoint, tracker.run_id)
    (model,) = models_of(checkpoint)
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "linked", "version": 1}]


def test_without_a_server_nothing_is_noted(checkpoint, caplog):
    with caplog.at_level(logging.WARNING):
        log_model(Tracker(None, None), "judge", checkpoint)
        log_model_figures(Tracker(None, None), "judge", checkpoint, {"gain": 0.1})
    assert not caplog.records
