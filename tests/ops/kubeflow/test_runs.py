import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow import (
    KubeflowError,
    Request,
    find_run,
    find_schedule,
    follow,
    publish,
    schedule,
    steps_of,
    steps_of_run,
)
from spatialreward.ops.kubeflow.errors import NotFound, OutcomeUnknown, ServerFault
from spatialreward.ops.kubeflow.runs import cancel, retry
from spatialreward.ops.kubeflow.states import OVER, outcome
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
    assert [run.display_name for run in client.list_runs()] == names[::-1]
    assert standin.count("GET", "/runs") == before + 2
    next(client.list_runs())
    assert standin.count("GET", "/runs") == before + 3, "a page is asked for when it is read"


def test_a_schedule_is_found_by_id_by_its_beginning_and_by_name(client, package):
    version, _ = publish(client, package)
    trigger = {"cron_schedule": {"cron": "@daily"}}
    made = schedule(client, version, Request(run_name="nightly"), trigger)
    for said in (made.recurring_run_id, made.recurring_run_id[:6], "nightly"):
        assert find_schedule(client, said).recurring_run_id == made.recurring_run_id


def test_a_run_is_canceled_once(standin, client, submit):
    run = submit()
    cancel(client, run)
    now = client.run(run.run_id)
    assert now.state == "CANCELING"
    cancel(client, now)
    over = client.run(run.run_id)
    assert (over.state, outcome(over)) == ("FAILED", "CANCELED")
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
    assert client.run(run.run_id).state not in OVER


def test_a_server_that_is_away_for_a_while_is_waited_for(standin, connect, submit):
    run = submit()
    client = connect(attempts=1)
    standin.fail("GET", "/runs/.*", Fault(503, b"{}"), 3)
    silences = []
    seen = list(follow(client, run.run_id, 5.0, silences.append))
    assert seen[-1].state == "SUCCEEDED"
    assert [type(one) for one in silences] == [ServerFault] * 3


def follow_until_given_up(standin, connect, submit, **more):
    """The silences of a server that stays away, until following it ends."""
    run = submit()
    standin.fail("GET", "/runs/.*", Fault(503, b"{}"), 99)
    silences = []
    with pytest.raises(ServerFault):
        list(follow(connect(attempts=1), run.run_id, 5.0, silences.append, **more))
    return silences


def test_a_server_that_stays_away_is_given_up(standin, connect, submit, pauses):
    silences = follow_until_given_up(
        standin, connect, submit, patience_s=20, clock=lambda: sum(pauses)
    )
    assert len(silences) == 4


def test_time_that_goes_by_in_a_request_is_part_of_the_patience(standin, connect, submit):
    moments = iter(range(0, 10_000, 130))
    silences = follow_until_given_up(standin, connect, submit, clock=lambda: next(moments))
    assert len(silences) == 7, "a quarter of an hour, in requests of 130 s"


def test_a_session_that_ends_ends_the_watching(standin, client, submit):
    run = submit()
    standin.fail("GET", "/runs/.*", Fault(401, b"expired"))
    with pytest.raises(KubeflowError, match="does not know the caller"):
        list(follow(client, run.run_id, 5.0, pytest.fail))


def test_a_run_that_was_deleted_meanwhile_is_said(standin, client, submit):
    run = submit()
    del standin.backend.runs[run.run_id]
    with pytest.raises(NotFound, match=run.run_id):
        list(follow(client, run.run_id, 5.0, pytest.fail))


def test_the_steps_of_a_run_are_those_of_its_version(standin, client, submit, package):
    run = submit()
    assert steps_of_run(client, run) == steps_of(package.spec)
    standin.backend.versions.clear()
    assert steps_of_run(client, run) == []
