import datetime
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.ops.deployment.history import Deployment, History, VersionState

MORNING = datetime.datetime(2026, 11, 25, 8, 30, tzinfo=datetime.UTC)


@pytest.fixture
def run(monkeypatch):
    for name in ("TRITON_GRPC_URL", "TRITON_MODEL_REPOSITORY", "TRITON_REPOSITORY_KEY"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def version(number, state=VersionState.GOOD, reason=""):
    return Deployment(
        version=number,
        source=f"models:/m/{number}",
        sha256=f"{number:064x}",
        deployed_at=MORNING,
        state=state,
        reason=reason,
    )


def test_versions_are_listed_the_newest_first(run, tmp_path):
    failed = version(3, VersionState.FAILED, "broken\nweights")
    history = History(served=2, versions=(version(1), version(2), failed))
    history.write(tmp_path / "judge")
    result = run("deploy", "list", "--repository", tmp_path)
    lines = [" ".join(line.replace("│", " ").split()) for line in result.stdout.splitlines()]
    assert lines[2].startswith("3 failed 2026-11-25 08:30:00 000000000000 models:/m/3: broken")
    assert lines[-2].startswith("2 served 2026-11-25 08:30:00 000000000000 models:/m/2")
    assert lines[-1].startswith("1 good")
    told = run("deploy", "list", "--repository", tmp_path, "--json").stdout
    assert History.model_validate(json.loads(told)) == history


def test_a_model_that_was_never_deployed_has_no_versions(run, tmp_path):
    result = run("deploy", "list", "--repository", tmp_path, "--name", "critic")
    assert result.stdout == f"critic has never been deployed in {tmp_path}\n"
    assert result.exit_code == 0


def test_a_damaged_history_is_named(run, tmp_path):
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "deployments.json").write_text("{")
    result = run("deploy", "list", "--repository", tmp_path)
    assert "judge/deployments.json: is no history of deployments" in result.stderr
    assert result.exit_code == 1


def test_a_server_that_is_away_does_not_hide_the_history(run, tmp_path):
    History(served=1, versions=(version(1),)).write(tmp_path / "judge")
    where = ("--repository", tmp_path, "--endpoint", "127.0.0.1:9")
    result = run("deploy", "list", *where)
    assert "served" in result.stdout
    assert "no server answers at 127.0.0.1:9" in result.stdout


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
