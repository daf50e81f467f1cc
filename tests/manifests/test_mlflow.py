"""What MLflow's pod does to the database before the server starts."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.manifests.cluster import LOCAL, pods, render

# The tables as they were before MLflow's last change of them.
OLDER = """
import os
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils
url = os.environ["MLFLOW_BACKEND_STORE_URI"]
utils.InitialBase.metadata.create_all(utils.create_sqlalchemy_engine_with_retry(url))
config = utils._get_alembic_config(url)
script = ScriptDirectory.from_config(config)
command.upgrade(config, script.get_revision(script.get_current_head()).down_revision)
"""


@pytest.fixture(scope="module")
def migrate():
    """Arguments of Python in the container that comes before the server."""
    (pod,) = [pod for pod in pods(render(LOCAL)) if pod.owner == "Deployment mlflow"]
    (container,) = pod.spec["initContainers"]
    assert container["command"][0] == "python"
    return [*container["command"][1:], *container["args"]]


def python(database, *arguments):
    """Run Python as in the pod, but with a database in a file."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(database.parent),
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{database}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def revision(database):
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("select version_num from alembic_version").fetchall()


def test_tables_are_made_or_brought_up_to_date(migrate, tmp_path):
    new, old = tmp_path / "new.db", tmp_path / "old.db"
    python(new, *migrate)
    python(old, "-c", OLDER)
    assert revision(old) != revision(new)
    python(old, *migrate)
    assert revision(old) == revision(new)
