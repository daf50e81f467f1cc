import pytest

from spatialreward.ops.kubeflow import follow, steps_of
from spatialreward.ops.kubeflow.package import Step
from spatialreward.ops.kubeflow.steps import NOT_RUN, WAITING, progress_of
from tests.ops.kubeflow.conftest import run_of
from tests.ops.kubeflow.workflow import Moment


def told(run, steps):
    return {step.name: step.state for step in progress_of(run, steps)}


def test_a_run_is_followed_to_its_end(standin, client, submit, pauses, package):
    steps = steps_of(package.spec)
    shards = {"build-shard-2": "SUCCEEDED", "build-shard": ["SUCCEEDED", "RUNNING"]}
    standin.backend.moments = [
        Moment("PENDING"),
        Moment("RUNNING", shards),
        Moment("RUNNING", shards | {"build-shard": ["SUCCEEDED"] * 2, "merge-shards": "RUNNING"}),
        Moment(
            "FAILED", shards | {"build-shard": ["SUCCEEDED"] * 2, "merge-shards": "FAILED: oom"}
        ),
    ]
    run = submit()
    pauses.clear()
    seen = list(follow(client, run.run_id, 5.0, pytest.fail))
    assert [told(one, steps) for one in seen] == [
        {
            "build-heldout": WAITING,
            "build-shard": WAITING,
            "merge-shards": WAITING,
            "train-judge": WAITING,
        },
        {
            "build-heldout": "SUCCEEDED",
            "build-shard": "RUNNING",
            "merge-shards": WAITING,
            "train-judge": WAITING,
        },
        {
            "build-heldout": "SUCCEEDED",
            "build-shard": "SUCCEEDED",
            "merge-shards": "RUNNING",
            "train-judge": WAITING,
        },
        {
            "build-heldout": "SUCCEEDED",
            "build-shard": "SUCCEEDED",
            "merge-shards": "FAILED",
            "train-judge": NOT_RUN,
        },
    ]
    assert pauses == [5.0] * 3
    last = {step.name: step for step in progress_of(seen[-1], steps)}
    assert last["merge-shards"].error == "oom"
    assert (last["build-shard"].rounds_over, last["build-shard"].rounds) == (2, 2)
    assert last["build-heldout"].seconds(seen[-1].finished_at) == 60


def test_without_its_pipeline_steps_are_what_looks_like_them(standin, client, submit):
    run = submit()
    standin.backend.come_to(
        run.run_id, Moment("RUNNING", {"train": "SUCCEEDED", "iteration-item": "RUNNING"})
    )
    assert told(run_of(standin.backend.runs[run.run_id]), []) == {"train": "SUCCEEDED"}


def test_a_step_that_could_not_be_prepared_has_failed(standin, client, submit):
    run = submit()
    steps = [Step("train", "train"), Step("test", "test")]
    moment = Moment("FAILED", {"train-driver": "FAILED: no such image", "test-driver": "FAILED"})
    standin.backend.come_to(run.run_id, moment)
    first, second = progress_of(run_of(standin.backend.runs[run.run_id]), steps)
    assert (first.state, first.error) == ("FAILED", "no such image")
    assert (second.state, second.error) == ("FAILED", "could not be prepared: its driver failed")


def test_a_step_whose_turn_is_near_is_pending(standin, submit):
    run = submit()
    standin.backend.come_to(run.run_id, Moment("RUNNING", {"train-driver": "RUNNING"}))
    now = run_of(standin.backend.runs[run.run_id])
    assert told(now, [Step("train", "train")]) == {"train": "PENDING"}


def test_what_the_server_may_tell_of_pods_and_attempts_is_kept():
    task = {
        "display_name": "train",
        "state": "SUCCEEDED",
        "executor_detail": {"main_job": "pod-3", "failed_main_jobs": ["pod-1", "pod-2"]},
    }
    run = run_of({"run_details": {"task_details": [task]}})
    (step,) = progress_of(run, [Step("train", "train")])
    assert (step.pods, step.failed_attempts) == (("pod-3",), 2)
