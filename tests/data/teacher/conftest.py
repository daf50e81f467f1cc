import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from spatialreward.data.teacher.config import TeacherConfig
from tests.data.teacher.teacher_server import TeacherServer

KEY = "sk-test-3d1f0a"


@pytest.fixture
def server():
    with TeacherServer().running() as server:
        yield server


@pytest.fixture
def config(server, monkeypatch, tmp_path):
    """A configuration for that server."""
    monkeypatch.setenv("TEACHER_KEY", KEY)
    # Plain HTTP needs no authorities, and reading the system's takes longer than most tests do.
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    return TeacherConfig(
        base_url=server.url,
        model="scripted-vl",
        api_key_variable="TEACHER_KEY",
        concurrency=4,
        timeout_s=20,
        max_attempts=3,
        verify=False,
    )


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger.sqlite"


def rows_of(ledger: Path) -> list[dict]:
    """What a ledger that is closed holds, as any reader of SQLite sees it."""
    with closing(sqlite3.connect(ledger)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM answers ORDER BY rowid")]
