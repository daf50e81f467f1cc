import datetime
import io
import json
import re
import subprocess
import sys

import pytest
from mlflow import MlflowClient
from rich.console import Console
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.cli.run_view import duration, run_view
from spatialreward.ops.cluster.train_job import RUN_LABEL
from spatialreward.ops.kubeflow import Request, publish, schedule, steps_of
from spatialreward.ops.pipeline_run import PLATFORM_RUN, open_pipeline_run
from spatialreward.stack import environment
from tests.ops.cluster.api_server import api_server
from tests.ops.kubeflow.conftest import run_of
from tests.ops.kubeflow.standin import Fault
from tests.ops.kubeflow.workflow import Moment

STATES = ("canceled", "failed")
KUBE_CONFIG = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"


@pytest.fixture
def run(standin, monkeypatch):
    """Runs ``spatialreward runs``, against the server."""
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", standin.url)
    return lambda *words: CliRunner().invoke(app, ["runs", *map(str, words)])


@pytest.fixture
def client_of_mlflow(standin, tracking_servers, monkeypatch, request):
    """In an experiment of the test's own: each stand-in gives its runs the same ids."""
    for name, value in environment(tracking_servers).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    return MlflowClient(tracking_servers.mlflow.tracking_uri)


@pytest.fixture
def cluster_state(tmp_path, monkeypatch):
    """The cluster of the user's kubeconfig."""
    with api_server(tmp_path) as (state, config):
        monkeypatch.setattr(KUBE_CONFIG, str(config))
        yield state


def told(standin, run_id):
    return run_of(standin.backend.runs[run_id])


def test_runs_are_listed_and_chosen_from(standin, run, submit):
    assert run("list").stdout == "no runs\n"
    old, new = submit("old", experiment="one"), submit("new", experiment="two")
    standin.backend.come_to(old.run_id, Moment("FAILED", error="no luck"))
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [new.run_id, old.run_id]
    assert re.search(r"old +│ FAILED +│ 2026-11-25 12:\d\d:\d\d +│ 12 min 34 s", lines[3])
    (only,) = json.loads(run("list", "--state", "failed", "--json").stdout)
    assert (only["run_id"], only["state"], only["error"]) == (old.run_id, "FAILED", "no luck")
    (only,) = json.loads(run("list", "--experiment", "two", "--json").stdout)
    assert only["run_id"] == new.run_id
    assert "no experiment 'three'" in run("list", "--experiment", "three").stderr
    assert len(json.loads(run("list", "--limit", 1, "--json").stdout)) == 1


def test_an_archived_run_is_off_the_list(standin, run, submit):
    submitted = submit()
    assert run("archive", "nightly").stdout == f"run {submitted.run_id} is archived\n"
    assert run("list").stdout == "no runs\n"
    assert submitted.run_id in run("list", "--archived").stdout


def test_a_run_is_shown_with_its_steps(standin, run, submit):
    submitted = submit(parameters={"steps": 5})
    steps = {"build-shard": ["SUCCEEDED", "RUNNING"], "build-shard-2": "FAILED: disk full"}
    standin.backend.to_come[submitted.run_id] = [Moment("RUNNING", steps)] * 2
    text = run("show", submitted.run_id[:8]).stdout
    assert text.startswith(f"nightly  {submitted.run_id}  RUNNING\n")
    assert "steps = 5" in text
    assert re.search(r"build-shard +│ RUNNING +│ 1/2", text)
    assert re.search(r"build-heldout +│ FAILED .*disk full", text)
    assert re.search(r"train-judge +│ WAITING", text)
    assert "Pod" not in text, "the server does not say which pods they are"
    answer = json.loads(run("show", "nightly", "--json").stdout)
    assert [step["name"] for step in answer["steps"]] == [
        "build-heldout",
        "build-shard",
        "merge-shards",
        "train-judge",
    ]
    assert answer["steps"][0]["error"] == "disk full"
    assert answer["parameters"] == {"steps": 5}
    assert answer["links"].keys() == {"Kubeflow Pipelines"}


def test_a_run_is_canceled_followed_and_retried(standin, run, submit):
    submitted = submit()
    canceled = run("cancel", "nightly", "--no-wait").stdout.splitlines()
    assert canceled[0] == f"run {submitted.run_id} is being canceled"
    assert f"runs tidy {submitted.run_id}" in canceled[1]
    followed = run("follow", "nightly", "--poll", 0.05)
    assert followed.exit_code == 4
    assert "run nightly: CANCELED" in followed.stdout
    canceled, failed = (run("list", "--state", state, "--json").stdout for state in STATES)
    assert [one["state"] for one in json.loads(canceled)] == ["CANCELED"]
    assert json.loads(failed) == []
    retried = run("retry", submitted.run_id)
    assert retried.stdout.startswith(f"run {submitted.run_id} is retried\nfollow it: spatialreward")
    assert run("follow", submitted.run_id, "--poll", 0.05).exit_code == 0
    refused = run("retry", "nightly")
    assert refused.exit_code == 1
    assert "only a run that failed" in refused.stderr


def test_schedules_are_listed_paused_and_removed(standin, run, client, package):
    assert run("schedules").stdout == "no schedules\n"
    version, _ = publish(client, package)
    trigger = {"periodic_schedule": {"interval_second": "3600"}}
    made = schedule(client, version, Request(run_name="hourly"), trigger)
    assert re.search(r"hourly +│ ENABLED +│ every 3600 s", run("schedules").stdout)
    assert "is paused" in run("pause", "hourly").stdout
    (told,) = json.loads(run("schedules", "--json").stdout)
    assert (told["recurring_run_id"], told["status"]) == (made.recurring_run_id, "DISABLED")
    assert "starts runs again" in run("resume", "hourly").stdout
    assert "is removed" in run("unschedule", made.recurring_run_id[:8]).stdout
    assert run("schedules").stdout == "no schedules\n"


def test_without_an_address_it_is_asked_for(monkeypatch):
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    result = CliRunner().invoke(app, ["runs", "list"])
    assert result.exit_code == 2
    assert "KF_PIPELINES_ENDPOINT" in result.output


def test_on_a_terminal_steps_are_a_live_table(standin, submit, package):
    now = datetime.datetime(2026, 11, 25, 12, 10, tzinfo=datetime.UTC)
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    run_id = submit().run_id
    with run_view(console, steps_of(package.spec), lambda: now) as view:
        standin.backend.come_to(run_id, Moment("RUNNING", {"train-judge": "RUNNING"}))
        view.update(told(standin, run_id))
        view.silence("no answer at present")
        console.print(view.drawn())
        standin.backend.come_to(run_id, Moment("SUCCEEDED", {"train-judge": "SUCCEEDED"}))
        view.update(told(standin, run_id))
    text = console.file.getvalue()
    assert re.search(r"train-judge +│ RUNNING +│ 9 min", text)
    assert "no answer at present" in text
    last = text[text.rindex("Step") :]
    assert re.search(r"train-judge +│ SUCCEEDED +│ 1 min 00 s", last)
    assert re.search(r"merge-shards +│ NOT RUN", last)
    assert "no answer" not in last
    assert "run: SUCCEEDED" in last


def test_what_a_server_says_does_not_take_hold_of_the_terminal(standin, run, submit):
    submit("evil\x1b[2J\nname")
    for words in (("list",), ("show", next(iter(standin.backend.runs)))):
        assert "\x1b" not in run(*words).stdout


def test_durations_are_in_words():
    assert [duration(one) for one in (None, 0.4, 59.9, 61, 7265)] == [
        "",
        "0 s",
        "59 s",
        "1 min 01 s",
        "2 h 01 min",
    ]


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from spatialreward.cli.main import app\n"
        "app(['submit', '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'kfp', 'kfp_server_api', 'mlflow', 'kubernetes'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--token-file" in done.stdout


@pytest.fixture
def parent(submit, client_of_mlflow, monkeypatch):
    """The run in MLflow of the run ``nightly``, as its first step has opened it."""
    monkeypatch.setenv(PLATFORM_RUN, submit().run_id)
    opened = open_pipeline_run("pipeline tiny", "tiny", {}, "")
    monkeypatch.delenv(PLATFORM_RUN)
    return opened


def test_a_canceled_run_leaves_nothing_behind(
    standin, run, client_of_mlflow, parent, cluster_state
):
    (run_id,) = standin.backend.runs
    cluster_state.jobs["j"] = {"metadata": {"name": "j", "labels": {RUN_LABEL: run_id}}}
    canceled, jobs, recorded = run("cancel", "nightly", "--poll", 0.05).stdout.splitlines()
    assert canceled == f"run {run_id} is being canceled"
    assert re.fullmatch(
        r"deleted TrainJobs in namespace kubeflow of http://127\.0\.0\.1:\d+: j", jobs
    )
    assert recorded == f"recorded in MLflow's run {parent}: cancelled"
    assert client_of_mlflow.get_run(parent).info.status == "KILLED"
    jobs, again = run("tidy", "nightly").stdout.splitlines()
    assert jobs.endswith(": there were none")
    assert again == recorded


def test_a_canceled_run_that_ends_at_once_is_recorded_as_such(
    standin, run, client_of_mlflow, parent, cluster_state, monkeypatch
):
    terminate = standin.backend.terminate_run

    def at_once(run_id, **what):
        answer = terminate(run_id, **what)
        standin.backend.to_come[run_id] = [Moment("FAILED")]
        return answer

    monkeypatch.setattr(standin.backend, "terminate_run", at_once)
    assert f"{parent}: cancelled\n" in run("cancel", "nightly", "--poll", 0.05).stdout


def test_a_run_that_does_not_end_is_not_waited_for_without_an_end(
    standin, run, submit, cluster_state, monkeypatch
):
    monkeypatch.setattr("spatialreward.cli.following._CANCELED_WITHIN_S", 0.0)
    run_id = submit().run_id
    result = run("cancel", "nightly", "--poll", 0.05)
    assert result.exit_code == 1
    assert f"run {run_id} was canceled, but is still CANCELING after 0 min" in result.stderr
    assert f"when it is over: spatialreward runs tidy {run_id}" in result.stderr
    assert "TrainJobs" not in result.stdout


def test_a_session_that_ends_while_a_run_does_says_what_is_left_to_do(standin, run, submit):
    run_id = submit().run_id
    standin.fail("GET", "/runs/.*", Fault(acts=True))
    standin.fail("GET", "/runs/.*", Fault(401, b"expired"))
    result = run("cancel", "nightly", "--poll", 0.05)
    assert result.exit_code == 1
    assert "does not know the caller" in result.stderr
    assert f"when it is over: spatialreward runs tidy {run_id}" in result.stderr


def test_what_cannot_be_looked_for_is_told(standin, run, submit, tmp_path, monkeypatch):
    monkeypatch.setattr(KUBE_CONFIG, str(tmp_path / "none"))
    submitted = submit()
    assert "is not over: " in run("tidy", "nightly").stderr
    standin.backend.come_to(submitted.run_id, Moment("FAILED"))
    standin.backend.to_come[submitted.run_id] = []
    jobs, runs = run("tidy", "nightly").stdout.splitlines()
    selector = f"{RUN_LABEL}={submitted.run_id}"
    assert jobs.startswith("TrainJobs were not looked for (which cluster? ")
    assert jobs.endswith(f"kubectl delete trainjobs -n kubeflow -l {selector}")
    assert runs == "the run in MLflow was not looked for: MLFLOW_TRACKING_URI is not set"


def test_without_the_packages_for_it_a_canceled_run_is_canceled_all_the_same(
    standin, run, submit, monkeypatch
):
    """As with ``spatialreward[kubeflow]`` alone."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    run_id = submit().run_id
    result = run("cancel", "nightly", "--poll", 0.05)
    assert result.exit_code == 0, result.output
    _, jobs, recorded = result.stdout.splitlines()
    assert "(which cluster? kubernetes is not installed)" in jobs
    assert jobs.endswith(run_id)
    assert recorded == "the run in MLflow was not looked for: mlflow is not installed"


def test_a_cluster_that_refuses_does_not_keep_the_outcome_from_mlflow(
    standin, run, submit, client_of_mlflow, cluster_state
):
    submitted = submit()
    cluster_state.forbidden = True
    standin.backend.come_to(submitted.run_id, Moment("FAILED"))
    standin.backend.to_come[submitted.run_id] = []
    result = run("tidy", "nightly")
    assert (result.exit_code, result.stdout) == (1, "it has no run in MLflow\n")
    assert "pipeline-runner cannot do that" in result.stderr
