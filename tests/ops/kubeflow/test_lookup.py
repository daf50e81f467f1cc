import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow import KubeflowError, find_run, find_schedule, publish, schedule
from spatialreward.ops.kubeflow.errors import NotFound, OutcomeUnknown
from spatialreward.ops.kubeflow.mending import cancel, retry
from spatialreward.ops.kubeflow.records import State
from spatialreward.ops.kubeflow.submission import Request
from tests.ops.kubeflow.standin import Fault
from tests.ops.kubeflow.workflow import Moment


def test_a_run_is_found_by_id_by_its_beginning_and_by_name(client, submit):
    runs = [submit(f"run {number}") for number in range(3)]
    for run in runs:
        for said in (run.run_id, run.run_id[:8], run.display_name):
            assert find_run(client, said).run_id == run.run_id


def test_what_is_meant_more_than_once_is_named(client, submit):
    both = sorted(submit("twice").run_id for _ in range(2))
    with pytest.raises(KubeflowError, match=f"twice: more than one run.*{both[0]}, {both[1]}"):
        find_run(client, "twice")


def test_what_nobody_knows_is_said(client, submit):
    submit()
    for said in ("other", "00000000-0000-0000-0000-000000000000", "%"):
        with pytest.raises(NotFound, match=said):
            find_run(client, said)
    with pytest.raises(NotFound, match="runs schedules"):
        find_schedule(client, "weekly")


def test_nothing_is_not_the_beginning_of_the_only_one(client, submit, package):
    submit()
    version, _ = publish(client, package)
    trigger = {"cron_schedule": {"cron": "@daily"}}
    schedule(client, version, Request(run_name="nightly"), trigger)
    for said in ("", " "):
        with pytest.raises(InvalidInputError, match=r"which run\?"):
            find_run(client, said)
        with pytest.raises(InvalidInputError, match=r"which schedule\?"):
            find_schedule(client, said)


def test_a_beginning_is_found_behind_many_ids_that_have_it_in_the_middle(standin, client, submit):
    first = submit("first").run_id
    like = standin.backend.runs[first]
    for number in range(120):
        run_id = f"{number:08d}-0000-0000-0000-{first[:8]}0000"
        standin.backend.runs[run_id] = like | {
            "run_id": run_id,
            "created_at": "2026-11-26T12:00:00Z",
        }
    assert find_run(client, first[:8]).run_id == first


def test_a_middle_of_an_id_is_no_beginning(client, submit):
    run = submit()
    with pytest.raises(NotFound):
        find_run(client, run.run_id[1:9])


def test_runs_are_listed_the_newest_first_page_by_page(standin, client, submit):
    like = standin.backend.runs[submit("first").run_id]
    names = [f"run {number}" for number in range(105)]
    standin.backend.runs.clear()
    for name in names:
        standin.backend.create_run(
            {
                "display_name": name,
                "experiment_id": like["experiment_id"],
                "pipeline_version_reference": like["pipeline_version_reference"],
            }
        )
    before = standin.count("GET", "/runs")
    assert [run.display_name for run in client.runs()] == names[::-1]
    assert standin.count("GET", "/runs") == before + 2
    assert [run.display_name for run in client.runs(limit=2)] == names[:-3:-1]


def test_a_schedule_is_found_and_may_be_paused_and_removed(standin, client, package):
    version, _ = publish(client, package)
    trigger = {"cron_schedule": {"cron": "@daily"}}
    made = schedule(client, version, Request(run_name="nightly"), trigger)
    for said in (made.recurring_run_id, made.recurring_run_id[:6], "nightly"):
        assert find_schedule(client, said).recurring_run_id == made.recurring_run_id
    client.enable_schedule(made.recurring_run_id, enabled=False)
    assert find_schedule(client, "nightly").status == "DISABLED"
    client.enable_schedule(made.recurring_run_id, enabled=True)
    assert find_schedule(client, "nightly").status == "ENABLED"
    client.delete_schedule(made.recurring_run_id)
    assert standin.backend.schedules == {}


def test_a_run_is_canceled_once(standin, client, submit):
    run = submit()
    cancel(client, run)
    now = client.run(run.run_id)
    assert now.state == State.CANCELING
    cancel(client, now)
    over = client.run(run.run_id)
    assert (over.state, over.outcome) == ("FAILED", "CANCELED")
    with pytest.raises(KubeflowError, match="over already: CANCELED"):
        cancel(client, over)


def test_a_cancel_whose_answer_got_lost_has_happened(standin, client, submit):
    run = submit()
    standin.fail("POST", "/runs/[^/]*:terminate", Fault(acts=True, cut=True))
    cancel(client, run)
    assert standin.count("POST", "/runs/[^/]*:terminate") == 1


def test_only_what_failed_is_retried(standin, client, submit):
    run = submit()
    with pytest.raises(KubeflowError, match="is PENDING: only a run that failed"):
        retry(client, run)
    standin.backend.come_to(run.run_id, Moment("FAILED"))
    standin.backend.to_come[run.run_id] = []
    failed = client.run(run.run_id)
    standin.fail("POST", "/runs/[^/]*:retry", Fault(200, b"{}", cut=True))
    with pytest.raises(OutcomeUnknown, match="will show"):
        retry(client, failed)
    standin.fail("POST", "/runs/[^/]*:retry", Fault(acts=True, cut=True))
    retry(client, failed)
    assert not client.run(run.run_id).is_over
