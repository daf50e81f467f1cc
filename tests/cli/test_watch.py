import json
import logging
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.json_logs import JsonLines

VARIABLES = (
    "TRITON_GRPC_URL",
    "TRITON_MODEL_REPOSITORY",
    "TRITON_REPOSITORY_KEY",
    "MLFLOW_TRACKING_URI",
)


@pytest.fixture
def run(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    # The command sets them for its process; they are gone again after the test.
    for name in (
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
        "MLFLOW_HTTP_REQUEST_TIMEOUT",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR",
    ):
        monkeypatch.setenv(name, "1")
    options = ("deploy", "watch", "--once", "--log-format", "text")
    return lambda *arguments: CliRunner().invoke(app, [*options, *map(str, arguments)])


@pytest.fixture
def where(tmp_path):
    (tmp_path / "models").mkdir()
    return ("--endpoint", "127.0.0.1:9", "--repository", tmp_path / "models")


def test_what_is_missing_or_wrong_is_one_line(run, where, tmp_path):
    config = tmp_path / "deployer.toml"
    config.write_text('reconcile_s = 5\n[backend]\nkind = "local"\nkeeep = 3\n')
    cases = [
        ((), "where to serve? give --backend local or kubernetes"),
        (("--backend", "local"), "--endpoint missing: give it here, in the environment as TRITON_"),
        (("--config", config, *where), f"{config}: backend.keeep: no such key"),
        (("--config", tmp_path / "no.toml"), "no.toml: No such file"),
        (("--backend", "local", *where, "--reconcile-s", "0"), "reconcile_s: Input should be gr"),
        (("--backend", "kubernetes"), "which cluster?"),
        (("--backend", "local", *where, "--smoke-edits", tmp_path / "no"), "edits "),
    ]
    for arguments, complaint in cases:
        result = run(*arguments)
        assert result.exit_code == 1, complaint
        assert complaint in result.stderr


def test_without_a_registry_one_look_says_so_and_fails(run, where):
    result = run("--backend", "local", *where)
    assert result.exit_code == 1
    assert "no tracking server, set MLFLOW_TRACKING_URI" in result.stdout


def test_a_look_that_is_told_to_end_undoes_what_it_began(run, where, monkeypatch):
    def told_to_end(_):
        handler = signal.getsignal(signal.SIGTERM)
        assert callable(handler)
        handler(signal.SIGTERM, None)

    monkeypatch.setattr("spatialreward.ops.deployer.loop.Deployer.once", told_to_end)
    before = signal.getsignal(signal.SIGTERM)
    result = run("--backend", "local", *where)
    assert result.exit_code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_log_lines_are_objects():
    record = logging.makeLogRecord({"msg": "version %d", "args": (7,), "levelname": "INFO"})
    told = json.loads(JsonLines().format(record))
    assert (told["event"], told["level"]) == ("version 7", "info")


def test_help_teaches_and_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from spatialreward.cli.main import app\n"
        "app(['deploy', 'watch', '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'mlflow', 'kubernetes', 'tritonclient', 'scipy', 'prometheus_client'}\n"
        "sys.exit(f'loaded: {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
