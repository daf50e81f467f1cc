import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.ops.kubeflow.errors import NotKubeflowPipelines
from spatialreward.ops.kubeflow.records import OVER, RecurringRun, Run, read
from spatialreward.ops.kubeflow.steps import progress_of

TIMES = st.none() | st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2026-11-25T12:00:00Z",
        "2026-11-25T12:00:00.123456789Z",
        "2026-11-25T13:00:00+01:00",
    ]
)
STATES = st.none() | st.sampled_from(["RUNNING", "SUCCEEDED", "FAILED"]) | st.text(max_size=12)
ERRORS = st.none() | st.fixed_dictionaries({}, optional={"message": st.text(), "code": st.none()})
FURTHER = st.dictionaries(st.text(max_size=5).map("new_{}".format), st.integers(), max_size=2)


def objects(**fields):
    known = st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda one, more: more | one, known, FURTHER)


HISTORY = st.lists(objects(state=STATES, update_time=TIMES, error=ERRORS), max_size=2)
TASKS = objects(
    display_name=st.sampled_from(["train", "train-driver", "root", "executor(0)"]),
    state=STATES,
    start_time=TIMES,
    end_time=TIMES,
    error=ERRORS,
    state_history=HISTORY,
    executor_detail=st.none() | objects(main_job=st.text(), failed_main_jobs=st.lists(st.text())),
    pod_name=st.none() | st.text(max_size=5),
)
RUNS = objects(
    run_id=st.text(max_size=5),
    display_name=st.text(max_size=5),
    state=STATES,
    created_at=TIMES,
    finished_at=TIMES,
    error=ERRORS,
    state_history=HISTORY,
    run_details=st.none() | objects(task_details=st.lists(TASKS, max_size=4)),
    plugins_output=st.none() | st.just({}),
)


@given(RUNS)
def test_a_run_is_read_whatever_a_newer_server_adds_or_leaves_out(answer):
    run = read(Run, answer, "server")
    assert run.is_over == (answer.get("state") in OVER)
    assert run.created_at is None or run.created_at.year == 2026
    now = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    for step in progress_of(run, []):
        assert step.name == "train"
        seconds = step.seconds(now)
        assert seconds is None or seconds >= 0
        step.as_json(now)


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ({"run_details": {"task_details": [{"start_time": "noon"}]}}, "task_details.0.start_time"),
        ({"created_at": "2026-11-25T12:00:00"}, "created_at"),
        ({"state_history": "RUNNING"}, "state_history"),
        ([], "the answer"),
    ],
)
def test_what_is_no_run_is_named(answer, field):
    with pytest.raises(NotKubeflowPipelines, match=f"server: its answer is no Run.*{field}"):
        read(Run, answer, "server")


def test_ids_and_states_do_not_take_hold_of_the_terminal():
    run = read(Run, {"run_id": "a\x1b[2J", "state": "\x1b]0;DONE\x07"}, "server")
    assert (run.run_id, run.state) == ("a [2J", " ]0;DONE ")
    assert read(RecurringRun, {"recurring_run_id": "\x9b2J"}, "s").recurring_run_id == " 2J"
    with pytest.raises(NotKubeflowPipelines) as caught:
        read(Run, {"plugins_output": {"\x1b[2J": 3}}, "server")
    assert "\x1b" not in str(caught.value)


def test_what_was_canceled_retried_and_failed_then_has_failed():
    def ended_after(*states):
        history = [{"state": state} for state in (*states, "FAILED")]
        return Run.model_validate({"state": "FAILED", "state_history": history}).outcome

    assert ended_after("PENDING", "RUNNING") == "FAILED"
    assert ended_after("RUNNING", "CANCELING") == "CANCELED"
    assert ended_after("RUNNING", "CANCELING", "FAILED", "RUNNING") == "FAILED"
    assert ended_after("CANCELING", "RUNTIME_STATE_UNSPECIFIED") == "CANCELED"
