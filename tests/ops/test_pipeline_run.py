"""A pipeline's run in MLflow, opened, found and closed as in a cluster; MLflow is a real one."""

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from spatialreward.errors import InvalidInputError
from spatialreward.ops.pipeline_run import (
    Outcome,
    close_pipeline_run,
    find_parent,
    open_pipeline_run,
    recorded_outcome,
)
from spatialreward.ops.tracking import TrackingError, child_runs, open_run

SETTINGS = {"resources": {"train_judge": {"gpus": 8}}, "data": {"seed": 3}}


@pytest.fixture
def platform(client, monkeypatch, request):
    """A run of the platform, by an id that no other test has."""
    monkeypatch.setenv("SPATIALREWARD_KFP_RUN_ID", request.node.name)
    return client


def opened(parent=""):
    return open_pipeline_run("pipeline tiny", "tiny", SETTINGS, parent)


def fail(parent, error, key="k"):
    tags = {"step_key": key, "error": str(error)}
    with pytest.raises(type(error)), open_run("train-judge", parent_run_id=parent, tags=tags):
        raise error


def test_steps_find_the_run_that_the_first_one_opened(platform):
    assert find_parent("") == ""
    parent = opened()
    assert find_parent("") == parent
    assert opened() == parent, "another attempt opens no second one"
    run = platform.get_run(parent)
    assert run.info.run_name == "pipeline tiny"
    assert run.info.status == "RUNNING"
    assert run.data.params["resources.train_judge.gpus"] == "8"
    assert run.data.tags["profile"] == "tiny"


def test_a_run_that_is_handed_on_goes_before_and_is_its_owners_to_end(platform):
    with open_run("mine") as mine:
        assert opened(mine.run_id) == mine.run_id
        assert find_parent(mine.run_id) == mine.run_id
        assert close_pipeline_run("SUCCEEDED", "", mine.run_id) == Outcome("succeeded")
        assert platform.get_run(mine.run_id).info.status == "RUNNING"
        assert recorded_outcome(mine.run_id) == Outcome("succeeded")


def test_a_run_that_the_platform_made_is_the_platforms(platform, monkeypatch):
    with (
        open_run("of the platform") as parent,
        open_run("task", parent_run_id=parent.run_id) as task,
    ):
        monkeypatch.setenv("MLFLOW_RUN_ID", task.run_id)
        assert find_parent("") == opened() == parent.run_id
        close_pipeline_run("FAILED", "evicted", "")
        assert platform.get_run(parent.run_id).info.status == "RUNNING"
        assert recorded_outcome(parent.run_id) == Outcome("failed", error="evicted")


def test_without_a_server_nothing_is_opened_and_the_outcome_is_told(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert opened() == find_parent("") == ""
    assert str(close_pipeline_run("FAILED", "no node", "")) == "failed: no node"


def test_a_pipeline_that_succeeded_is_finished(platform):
    parent = opened()
    with open_run("train-judge", parent_run_id=parent):
        pass
    assert str(close_pipeline_run("SUCCEEDED", "", "")) == "succeeded"
    assert platform.get_run(parent).info.status == "FINISHED"


def test_a_failure_names_the_step_what_it_said_and_where(platform):
    parent = opened()
    fail(parent, InvalidInputError("no such base"))
    outcome = close_pipeline_run("FAILED", "Task steps failed.", "")
    (step,) = child_runs(parent)
    assert outcome == Outcome("failed", "train-judge", "no such base", step.run_id)
    assert str(outcome) == "failed: train-judge: no such base"
    run = platform.get_run(parent)
    assert run.info.status == "FAILED"
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("failed: [train-judge](#/experiments/")
    assert step.run_id in note
    assert recorded_outcome(parent) == outcome


def test_a_step_that_succeeded_in_the_end_is_not_what_failed(platform):
    parent = opened()
    fail(parent, InvalidInputError("first attempt"), key="a")
    with open_run("train-judge", parent_run_id=parent, tags={"step_key": "a"}):
        pass
    fail(parent, InvalidInputError("the one"), key="b")
    assert close_pipeline_run("FAILED", "", "").error == "the one"


def test_a_step_that_was_killed_is_what_failed_and_its_run_is_ended(platform):
    parent = opened()
    tags = {"mlflow.parentRunId": parent, "step_key": "k"}
    experiment = platform.get_run(parent).info.experiment_id
    lost = platform.create_run(experiment, run_name="finetune-editor", tags=tags).info.run_id
    outcome = close_pipeline_run("FAILED", "", "")
    assert (outcome.step, outcome.run_id) == ("finetune-editor", lost)
    assert outcome.error.startswith("ended without a word")
    assert platform.get_run(lost).info.status == "KILLED"


def test_a_run_that_is_retried_loses_the_failure_of_before(platform):
    parent = opened()
    fail(parent, InvalidInputError("no such base"))
    close_pipeline_run("FAILED", "", "")
    close_pipeline_run("SUCCEEDED", "", "")
    assert recorded_outcome(parent) == Outcome("succeeded")
    assert platform.get_run(parent).info.status == "FINISHED"


def test_a_cancelled_pipeline_is_killed(platform):
    parent = opened()
    close_pipeline_run("CANCELLED", "", "")
    assert platform.get_run(parent).info.status == "KILLED"


def test_of_a_run_that_nobody_closed_nothing_is_known(platform):
    assert recorded_outcome(opened()) is None


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("SUCCEEDED", "FINISHED"),
        ("COMPLETE", "FINISHED"),
        ("CACHED", "FINISHED"),
        ("FAILED", "FAILED"),
        ("CANCELED", "KILLED"),
    ],
)
def test_the_platforms_words_for_an_end_are_understood(state, status, platform):
    parent = opened()
    close_pipeline_run(state, "", "")
    assert platform.get_run(parent).info.status == status


def test_where_the_platform_does_not_know_the_last_step_tells(platform):
    parent = opened()
    tags = {"step": "register-editor", "step_key": "k"}
    assert close_pipeline_run("RUNNING", "", "", "register-editor") == Outcome("failed")
    fail(parent, InvalidInputError("first attempt"))
    with open_run("register-editor", parent_run_id=parent, tags=tags):
        pass
    assert close_pipeline_run("RUNNING", "", "", "gather-edits").ended == "failed"
    assert close_pipeline_run("RUNNING", "", "", "register-editor") == Outcome("succeeded")
    assert platform.get_run(parent).info.status == "FINISHED"
    assert close_pipeline_run("FAILED", "", "", "register-editor").ended == "failed"


def test_an_outcome_that_is_not_recorded_is_an_error(platform, monkeypatch):
    parent = opened()

    def refuse(*_, **__):
        raise MlflowException("database is locked")

    monkeypatch.setattr(MlflowClient, "set_tag", refuse)
    with pytest.raises(TrackingError, match=rf"{parent}: succeeded, but not recorded: database"):
        close_pipeline_run("SUCCEEDED", "", "")
