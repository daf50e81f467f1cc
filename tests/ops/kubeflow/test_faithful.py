"""The stand-in is held against the client of Kubeflow Pipelines itself, and against its models."""

import kfp_server_api
import pytest
from kfp.client import Client

from tests.ops.kubeflow.specification import BrokenSpecification, check, operation
from tests.ops.kubeflow.standin import OPERATIONS
from tests.ops.kubeflow.workflow import Moment


@pytest.fixture
def official(standin):
    """The client that comes with kfp."""
    with pytest.warns(FutureWarning, match="only works with"):
        client = Client(host=standin.url)
    yield client
    client._run_api.api_client.rest_client.pool_manager.clear()


def test_the_official_client_gets_on_with_the_stand_in(standin, official, write_package):
    assert official.get_kfp_healthz().multi_user is None
    package = str(write_package())
    pipeline = official.upload_pipeline(package, "official", "uploaded whole")
    assert official.get_pipeline_id("official") == pipeline.pipeline_id
    version = official.upload_pipeline_version(package, "second", pipeline_id=pipeline.pipeline_id)
    versions = official.list_pipeline_versions(pipeline.pipeline_id, page_size=1)
    assert versions.total_size == 2
    assert versions.next_page_token
    experiment = official.create_experiment("tries")
    assert official.create_experiment("tries").experiment_id == experiment.experiment_id
    standin.backend.moments = [
        Moment("RUNNING", {"train-judge": "RUNNING"}),
        Moment("FAILED", {"train-judge": "FAILED: oom"}, error="oom"),
    ]
    run = official.run_pipeline(
        experiment.experiment_id,
        "official run",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"steps": 5},
    )
    assert official.get_run(run.run_id).state == "RUNNING"
    over = official.get_run(run.run_id)
    names = [task.display_name for task in over.run_details.task_details]
    assert sorted(names)[-2:] == ["train-judge", "train-judge-driver"]
    assert over.error.message == "oom"
    official.archive_run(run.run_id)
    listed = official.list_runs(experiment_id=experiment.experiment_id, sort_by="created_at desc")
    assert [one.storage_state for one in listed.runs] == ["ARCHIVED"]
    recurring = official.create_recurring_run(
        experiment.experiment_id,
        "daily",
        cron_expression="0 0 3 * * *",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
    )
    assert recurring.status == "ENABLED"
    official.disable_recurring_run(recurring.recurring_run_id)
    official.delete_recurring_run(recurring.recurring_run_id)
    with pytest.raises(kfp_server_api.ApiException) as error:
        official.terminate_run(run.run_id)
    assert error.value.status == 400


def test_every_operation_of_the_stand_in_is_one_of_the_specification():
    for (verb, path), (name, _) in OPERATIONS.items():
        spec = operation(name, path)
        assert spec.answer, name
        assert bool(spec.body) == (verb == "POST" and "upload" not in path and ":" not in path), (
            name
        )


@pytest.mark.parametrize(
    "run",
    [
        {"run_idd": "1"},
        {"run_id": 1},
        {"state": "DONE"},
        {"created_at": "2026-11-25T12:00:00"},
        {"run_details": {"task_details": [{"child_tasks": {}}]}},
        {"run_details": {"pipeline_context_id": 1}},
        {"plugins_output": {"mlflow": {"state": "RUNNING"}}},
    ],
)
def test_what_the_specification_does_not_have_is_found(run):
    with pytest.raises((BrokenSpecification, ValueError)):
        check(run, "V2beta1Run", "run")


def test_what_the_specification_has_is_let_pass():
    check({"run_id": "1", "state": "RUNNING", "runtime_config": {}}, "V2beta1Run", "run")
