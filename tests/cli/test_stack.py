"""``spatialreward stack`` on real servers, as a user goes through it."""

import os
import shlex

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.ops.deployment import deploy
from spatialreward.stack import StackConfig, down, read_endpoints, stack_command
from tests.ops.deployment.conftest import (  # noqa: F401 - a judge that answers at once
    scripted,
    scripted_template,
)

WITHOUT = ("--without", "s3", "--without", "mlflow")


@pytest.fixture
def run(monkeypatch):
    for name in ("SPATIALREWARD_STATE_DIR", "TRITON_GRPC_URL", "TRITON_REPOSITORY_KEY"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def state_dir(tmp_path):
    folder = tmp_path / "stack"
    yield folder
    down(folder)


def exported(text):
    """Variables that a shell has after it has evaluated some text."""
    words = shlex.split(text)
    return dict(word.split("=", 1) for word in words if word != "export")


def test_a_stack_without_a_judge_says_how_to_serve_one_and_names_itself(run, state_dir):
    up = run("stack", "up", "--state-dir", state_dir, *WITHOUT)
    assert up.exit_code == 0, up.output
    assert "no judge is served" in up.stdout
    assert "spatialreward deploy --model models:/spatial-reward@champion" in up.stdout
    here = f"--state-dir {state_dir}"
    assert f'eval "$(spatialreward stack env {here})"' in up.stdout
    assert f"stop it with: spatialreward stack down {here}" in up.stdout
    # The line that was printed stops this stack.
    command = up.stdout.splitlines()[-1].partition("spatialreward ")[2]
    assert run(*shlex.split(command)).stdout == "stopped triton\n"
    assert read_endpoints(state_dir) is None


def test_what_was_served_is_served_again_by_the_next_up(
    run,
    state_dir,
    scripted,  # noqa: F811
    scripted_template,  # noqa: F811
    monkeypatch,
):
    run("stack", "up", "--state-dir", state_dir, *WITHOUT)
    variables = exported(run("stack", "env", "--state-dir", state_dir).stdout)
    deploy(
        scripted("first", reward=0.25),
        template=scripted_template,
        repository=state_dir / "triton" / "models",
        endpoint=variables["TRITON_GRPC_URL"],
        key=variables["TRITON_REPOSITORY_KEY"],
        source="models:/m/7",
    )
    run("stack", "down", "--state-dir", state_dir)
    again = run("stack", "up", "--state-dir", state_dir, *WITHOUT)
    assert "loading judge version 7: models:/m/7" in again.stdout
    variables = exported(run("stack", "env", "--state-dir", state_dir).stdout)
    assert f"judge version 7 is served at {variables['TRITON_GRPC_URL']}" in again.stdout
    assert "no judge is served" not in again.stdout
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert f"loaded at {variables['TRITON_GRPC_URL']}: 7" in run("deploy", "list").stdout
    # A stack that is up is found as it is.
    assert (
        "judge version 7 is served at"
        in run("stack", "up", "--state-dir", state_dir, *WITHOUT).stdout
    )


def test_a_judge_that_does_not_load_is_a_warning(
    run,
    state_dir,
    scripted,  # noqa: F811
    scripted_template,  # noqa: F811
):
    run("stack", "up", "--state-dir", state_dir, *WITHOUT)
    endpoints = read_endpoints(state_dir)
    where = {
        "repository": endpoints.triton.model_repository,
        "endpoint": endpoints.triton.grpc,
        "key": endpoints.triton.repository_key,
    }
    deploy(scripted("first"), template=scripted_template, **where)
    run("stack", "down", "--state-dir", state_dir)
    program = where["repository"] / "judge" / "1" / "model.py"
    program.write_text("raise RuntimeError('the weights are gone')\n")
    again = run("stack", "up", "--state-dir", state_dir, *WITHOUT)
    assert again.exit_code == 0
    [warning] = [line for line in again.stderr.splitlines() if line.startswith("warning:")]
    assert "judge is not served" in warning
    assert "the weights are gone" in warning
    assert "no judge is served" in again.stdout
    assert run("stack", "status", "--state-dir", state_dir).exit_code == 0


def test_the_environment_of_a_whole_stack_is_enough_for_what_comes_next(run, tmp_path, monkeypatch):
    """S3 and MLflow for the checkpoint; address, repository and key of Triton to deploy it."""
    state_dir = tmp_path / "whole"
    try:
        up = run("stack", "up", "--state-dir", state_dir)
        variables = exported(run("stack", "env", "--state-dir", state_dir).stdout)
        endpoints = read_endpoints(state_dir)
    finally:
        down(state_dir)
    assert f"runs and models, in a browser: {endpoints.mlflow.tracking_uri}" in up.stdout
    assert variables["TRITON_REPOSITORY_KEY"] == endpoints.triton.repository_key
    assert variables["AWS_SECRET_ACCESS_KEY"] == endpoints.s3.secret_key
    assert {
        "AWS_ACCESS_KEY_ID",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_TRACKING_URI",
        "S3_ENDPOINT_URL",
        "TRITON_GRPC_URL",
        "TRITON_HTTP_URL",
        "TRITON_MODEL_REPOSITORY",
    } <= set(variables)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said = run("deploy", "--model", tmp_path / "none").stderr
    assert said == f"error: --model {tmp_path / 'none'}: there is no such folder\n"


def test_a_folder_in_which_no_judge_would_start_is_refused(run, tmp_path):
    said = run("stack", "up", "--state-dir", tmp_path / "my stack", *WITHOUT).stderr
    assert f"no model starts in {tmp_path}/my stack/triton: choose a --state-dir without" in said


def test_a_stack_that_is_not_up_says_how_to_start_this_one(run, tmp_path):
    said = run("stack", "env", "--state-dir", tmp_path).stderr
    assert f"start it with `spatialreward stack up --state-dir {tmp_path}`" in said
    said = run("stack", "env", "--state-dir", tmp_path / "my stack").stderr
    assert f"--state-dir '{tmp_path}/my stack'`" in said


def test_the_usual_folder_needs_no_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = StackConfig().state_dir
    assert stack_command("down", usual) == "spatialreward stack down"
    assert stack_command("down", usual.absolute()) == "spatialreward stack down"
    os.chdir("/")
    assert stack_command("down", tmp_path / usual) == (
        f"spatialreward stack down --state-dir {tmp_path / usual}"
    )


def test_a_stack_that_lacks_a_service_names_itself(run, state_dir):
    run("stack", "up", "--state-dir", state_dir, *WITHOUT)
    said = run("stack", "up", "--state-dir", state_dir, "--without", "mlflow").stderr
    assert f"spatialreward stack down --state-dir {state_dir}" in said
    assert "is up without s3:" in said
