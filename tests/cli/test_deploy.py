import datetime
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.ops.deployment.repository import Version

MORNING = datetime.datetime(2026, 11, 25, 8, 30, tzinfo=datetime.UTC)


@pytest.fixture
def run(monkeypatch):
    for name in (
        "TRITON_GRPC_URL",
        "TRITON_MODEL_REPOSITORY",
        "TRITON_REPOSITORY_KEY",
        "MLFLOW_TRACKING_URI",
    ):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def repository(tmp_path):
    """One with two versions, of which the second is served."""
    for number in (1, 2):
        folder = tmp_path / "judge" / str(number)
        folder.mkdir(parents=True)
        version = Version(
            version=number,
            source=f"models:/m/{number}",
            sha256=f"{number:064x}",
            deployed_at=MORNING,
        )
        (folder / "version.json").write_text(version.model_dump_json())
    config = 'name: "judge" version_policy { specific { versions: [2] } }'
    (tmp_path / "judge" / "config.pbtxt").write_text(config)
    return tmp_path


def test_versions_are_listed_the_newest_first(run, repository):
    result = run("deploy", "list", "--repository", repository)
    lines = [" ".join(line.replace("│", " ").split()) for line in result.stdout.splitlines()]
    assert lines[2:] == [
        "2 served 2026-11-25 08:30:00 000000000000 models:/m/2",
        "1 kept 2026-11-25 08:30:00 000000000000 models:/m/1",
    ]
    listed = json.loads(run("deploy", "list", "--repository", repository, "--json").stdout)
    assert listed["served"] == 2
    assert [(one["version"], one["here"]) for one in listed["versions"]] == [
        (2, "served"),
        (1, "kept"),
    ]


def test_a_model_that_was_never_deployed_has_no_versions(run, tmp_path):
    result = run("deploy", "list", "--repository", tmp_path, "--name", "critic")
    assert result.stdout == f"critic has never been deployed in {tmp_path}\n"
    assert result.exit_code == 0


def test_a_damaged_file_is_named(run, repository):
    (repository / "judge" / "1" / "version.json").write_text("{")
    result = run("deploy", "list", "--repository", repository)
    assert "judge/1/version.json: expected the origin of a version" in result.stderr
    assert result.exit_code == 1


def test_a_server_or_a_registry_that_is_away_does_not_hide_the_versions(
    run, repository, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = run("deploy", "list", "--repository", repository, "--endpoint", "127.0.0.1:9")
    assert "served" in result.stdout
    assert "no server answers at 127.0.0.1:9" in result.stdout
    assert "the registry is left out: " in result.stderr


def test_inputs_are_checked_before_anything_is_asked(run, tmp_path):
    where = ("--repository", tmp_path, "--endpoint", "127.0.0.1:9")
    cases = [
        (("--model", tmp_path / "no"), f"{tmp_path}/no: there is no such folder"),
        (("--model", tmp_path), "no model here, expected a config.json"),
        (("--model", tmp_path, "--smoke-edits", tmp_path / "no.jsonl"), "edits "),
    ]
    for arguments, complaint in cases:
        result = run("deploy", *where, *arguments)
        assert complaint in result.stderr
        assert result.exit_code == 1
    assert "TRITON_GRPC_URL" in run("deploy", "--model", tmp_path).output


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from spatialreward.cli.main import app\n"
        "app(['deploy', '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'tritonclient'}\n"
        "sys.exit(f'loaded: {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
