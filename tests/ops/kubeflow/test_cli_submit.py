import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from tests.ops.kubeflow.standin import Fault
from tests.ops.kubeflow.workflow import Moment


@pytest.fixture
def run(standin, write_package):
    """Runs ``spatialreward submit`` with a package, against the server."""
    package = write_package()

    def run(*arguments, package=package):
        given = ["--package", package] if package else []
        words = ["submit", "--host", standin.url, "--poll", 0.05, *given, *arguments]
        return CliRunner().invoke(app, list(map(str, words)))

    return run


def test_a_package_is_published_started_and_followed(standin, run):
    standin.backend.moments = [
        Moment("PENDING"),
        Moment("RUNNING", {"build-shard": ["RUNNING", "SUCCEEDED"]}),
        Moment("SUCCEEDED", {"build-shard": ["SUCCEEDED"] * 2, "train-judge": "SUCCEEDED"}),
    ]
    result = run("--run-name", "nightly", "--param", "steps=5")
    assert result.exit_code == 0, result.output
    (made,) = standin.backend.runs.values()
    assert made["runtime_config"]["parameters"] == {"steps": 5}
    lines = result.stdout.splitlines()
    assert lines[0].startswith("pipeline spatialreward-tiny, version 0.1.0-")
    assert lines[0].endswith(": published")
    assert lines[1] == f"run nightly: started, {made['run_id']}"
    assert lines[2] == f"Kubeflow Pipelines: {standin.url}/#/runs/details/{made['run_id']}"
    told = [line.partition(" ")[2] for line in lines[3:-2]]
    assert told == [
        "run: PENDING",
        "build-shard: RUNNING, 1/2 rounds",
        "run: RUNNING",
        "build-shard: SUCCEEDED, 2/2 rounds after 1 min 00 s",
        "train-judge: SUCCEEDED after 1 min 00 s",
        "run: SUCCEEDED",
    ]
    assert lines[-2] == "run nightly: SUCCEEDED after 12 min 34 s"
    assert "published before" in run("--no-follow").stdout


def test_a_failed_run_says_where_and_has_a_status_of_its_own(standin, run):
    failed = {"train-judge": "FAILED: exit code 137"}
    standin.backend.moments = [Moment("FAILED", failed, error="1 of 4 steps failed")]
    result = run("--run-name", "nightly")
    assert result.exit_code == 3
    (run_id,) = standin.backend.runs
    assert "train-judge: FAILED after 1 min 00 s: exit code 137" in result.stdout
    assert "run nightly: FAILED after 12 min 34 s: 1 of 4 steps failed" in result.stdout
    assert f"-l pipeline/runid={run_id} " in result.stderr
    assert f"spatialreward runs retry {run_id} --host {standin.url}" in result.stderr


def test_a_canceled_run_has_a_status_of_its_own(standin, run):
    standin.backend.moments = [Moment("CANCELING"), Moment("FAILED")]
    result = run()
    assert result.exit_code == 4
    assert ": CANCELED" in result.stdout


def test_a_run_need_not_be_followed(standin, run):
    result = run("--no-follow", "--experiment", "tries", "--service-account", "runner")
    assert result.exit_code == 0
    (made,) = standin.backend.runs.values()
    assert made["service_account"] == "runner"
    assert made["display_name"].startswith("spatialreward-tiny 20")
    assert f"follow it: spatialreward runs follow {made['run_id']}" in result.stdout
    assert standin.count("GET", "/runs/.*") == 0


def test_a_schedule_is_made_instead_of_a_run(standin, run):
    result = run("--schedule", "0 3 * * 1", "--run-name", "weekly")
    assert result.exit_code == 0, result.output
    (made,) = standin.backend.schedules.values()
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert f"schedule weekly: cron 0 0 3 * * 1, {made['recurring_run_id']}" in result.stdout
    assert f"/#/recurringrun/details/{made['recurring_run_id']}" in result.stdout
    assert run("--every", "6h").exit_code == 0
    assert standin.backend.runs == {}


def test_links_lead_to_the_run_in_mlflow(standin, run, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example/")
    result = run("--no-follow", "--ui", "https://kubeflow.example/pipeline/")
    assert "Kubeflow Pipelines: https://kubeflow.example/pipeline/#/runs/details/" in result.stdout
    assert "MLflow: https://mlflow.example\n" in result.stdout
    result = run("--no-follow", "--param", "parent_run_id=abc")
    assert "MLflow: https://mlflow.example/#/runs/abc\n" in result.stdout
    page = "https://mlflow.example/#/experiments/4/runs/def"
    standin.backend.plugins_output = {
        "mlflow": {
            "entries": {"run_url": {"value": page, "render_type": "URL"}},
            "state": "PLUGIN_RUNNING",
        }
    }
    assert f"MLflow: {page}\n" in run("--no-follow").stdout


def test_what_is_wrong_is_said_before_the_server_is_asked(standin, run, tmp_path):
    cases = [
        (("--param", "stepz=1"), "did you mean steps?"),
        (("--schedule", "@daily", "--every", "6h"), "got both"),
        (("--schedule", "at noon"), "--schedule 'at noon'"),
        (("--set", "rl.num_steps=3"), "is compiled already"),
        (("--profile", "tiny"), "is compiled already"),
        (("--pipeline", "judge"), "is compiled already"),
        (("--headers-file", tmp_path / "no"), f"headers file {tmp_path / 'no'}: No such file"),
        (("--host", "localhost:8888"), "--host: expected http://HOST or https://HOST"),
        (("--host", "http://kubeflow/?ns=team#/runs"), "--host: expected an address without ?"),
        (("--host", ""), "--host: expected an address, got nothing"),
        (("--host", "http://me:pw@kubeflow"), "expected no user name and password"),
    ]
    for arguments, complaint in cases:
        result = run(*arguments)
        assert result.exit_code == 1, arguments
        assert complaint in result.stderr
        assert "pw" not in result.stderr.replace("password", "")
    assert "--profile NAME or --package FILE.yaml" in run(package=None).stderr
    assert standin.requests == []


def test_a_server_that_is_away_is_one_line(run):
    result = run("--host", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Kubeflow Pipelines at http://127.0.0.1:9 cannot be")
    assert result.stderr.count("\n") == 1


def test_an_address_with_a_prefix_and_a_page_is_understood(standin, run):
    standin.prefix = "/pipeline"
    result = run("--no-follow", "--host", f"{standin.url}/#/runs")
    assert result.exit_code == 0, result.output
    assert f"{standin.url}/#/runs/details/" in result.stdout


def test_token_and_headers_come_from_files(standin, run, tmp_path, monkeypatch):
    standin.token = "secret-token"
    monkeypatch.setenv("KF_PIPELINES_COOKIE", "session=abcdef")
    token, headers = tmp_path / "token", tmp_path / "headers"
    token.write_text("secret-token")
    headers.write_text("X-Auth: one\n\nX-Other: two\n")
    result = run("--no-follow", "--token-file", token, "--headers-file", headers)
    assert result.exit_code == 0, result.output
    sent = standin.requests[-1][2]
    assert (sent["X-Auth"], sent["X-Other"], sent["Cookie"]) == ("one", "two", "session=abcdef")
    refused = run("--no-follow", "--token", "wrong-token")
    assert refused.exit_code == 1
    assert "pass a token" in refused.stderr
    assert "wrong-token" not in refused.output
    headers.write_text("nothing\n")
    assert "header 1: expected NAME: VALUE" in run("--headers-file", headers).stderr


def test_a_session_that_ends_says_that_the_run_goes_on(standin, run):
    standin.backend.moments = [Moment("SUCCEEDED")]
    standin.fail("GET", "/runs/.*", Fault(401, b"expired"))
    result = run()
    assert result.exit_code == 1
    (run_id,) = standin.backend.runs
    assert f"the run goes on, follow it again: spatialreward runs follow {run_id}" in result.stderr


def test_ctrl_c_ends_the_watching_and_not_the_run(standin, write_package):
    standin.backend.moments = [Moment("RUNNING")] * 10_000
    code = "from spatialreward.cli.main import main; main()"
    words = ["submit", "--package", str(write_package()), "--host", standin.url, "--poll", "0.1"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert standin.asked.wait(300)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    (run_id,) = standin.backend.runs
    assert f"the run goes on; cancel it: spatialreward runs cancel {run_id}" in said
    assert f"follow it again: spatialreward runs follow {run_id}" in said
    assert standin.backend.runs[run_id]["state"] == "RUNNING"
    assert standin.count("POST", "/runs/.*:terminate") == 0


def test_a_profile_is_compiled_in_the_same_process(standin, run):
    result = run("--profile", "tiny", "--set", "rl.num_steps=3", "--no-follow", package=None)
    assert result.exit_code == 0, result.output
    (version,) = standin.backend.versions.values()
    spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
    assert spec["pipelineInfo"]["name"] == "spatialreward-tiny"
    assert '"num_steps":3' in str(spec)
    (made,) = standin.backend.runs.values()
    assert made["description"].startswith("profile tiny, ")
    unknown = run("--profile", "tini", package=None)
    assert "profile tini: expected one of" in unknown.stderr


def test_a_judge_alone_is_given_its_data_as_parameters_of_the_run(standin, run):
    artifact = "s3://bucket/data/small#sha256=" + "0" * 64
    given = ("--data", artifact, "--heldout", "hub:owner/name@0123")
    judge = ("--profile", "paper", "--pipeline", "judge", "--no-follow")
    result = run(*judge, *given, package=None)
    assert result.exit_code == 0, result.output
    (version,) = standin.backend.versions.values()
    spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
    assert spec["pipelineInfo"]["name"] == "spatialreward-paper-judge"
    (made,) = standin.backend.runs.values()
    assert made["runtime_config"]["parameters"] == {
        "data": artifact,
        "heldout": "hub:owner/name@0123",
    }


def test_what_cannot_run_is_refused_before_the_server_is_asked(standin, run, tmp_path):
    cases = {
        ("--profile", "paper"): "--pipeline full: needs --heldout REF",
        ("--profile", "paper", "--pipeline", "judge"): "needs --data REF, --heldout REF",
        (
            "--profile",
            "tiny",
            "--editor",
            "s3://a/b",
        ): "--pipeline full: --editor s3://a/b: is not an",
        (
            "--profile",
            "one-gpu",
            "--pipeline",
            "judge",
            *("--data", tmp_path, "--heldout", tmp_path),
        ): "a pod does not see this machine's folders",
        (
            "--profile",
            "one-gpu",
            "--set",
            "judge.base.revision=main",
        ): "expected a commit of Qwen",
    }
    for arguments, complaint in cases.items():
        result = run(*arguments, package=None)
        assert result.exit_code == 1, arguments
        assert complaint in result.stderr
        assert result.stderr.count("\n") == 1
    assert standin.requests == []
