from spatialreward.ops.kubeflow.states import failure, moment, outcome, state_of
from tests.ops.kubeflow.conftest import run_of


def test_a_run_is_read_whatever_a_newer_server_adds_or_leaves_out():
    run = run_of({"run_id": "r", "state": "PARKED", "parked_by": "x", "run_details": None})
    assert (state_of(run), outcome(run), failure(run)) == ("PARKED", "PARKED", "")
    assert state_of(run_of({})) == state_of(run_of({"state": "RUNTIME_STATE_UNSPECIFIED"})) == ""
    assert state_of(run_of({"state": "\x1b]0;DONE\x07"})) == " ]0;DONE "


def test_a_time_that_is_not_yet_is_none():
    for early in ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"):
        assert moment(run_of({"finished_at": early}).finished_at) is None
    late = moment(run_of({"created_at": "2026-11-25T13:00:00.123456789+01:00"}).created_at)
    assert (late.year, late.utcoffset().seconds) == (2026, 3600)


def test_the_last_reason_counts():
    history = [{"state": "FAILED", "error": {"message": word}} for word in ("first", "la\nst")]
    assert failure(run_of({"state_history": history})) == "la st"
    assert failure(run_of({"state_history": history, "error": {"message": "own"}})) == "own"


def test_what_was_canceled_retried_and_failed_then_has_failed():
    def ended_after(*states):
        history = [{"state": state} for state in (*states, "FAILED")]
        return outcome(run_of({"state": "FAILED", "state_history": history}))

    assert ended_after("PENDING", "RUNNING") == "FAILED"
    assert ended_after("RUNNING", "CANCELING") == "CANCELED"
    assert ended_after("RUNNING", "CANCELING", "FAILED", "RUNNING") == "FAILED"
    assert ended_after("CANCELING", "RUNTIME_STATE_UNSPECIFIED") == "CANCELED"
