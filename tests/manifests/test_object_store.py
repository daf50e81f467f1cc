"""SeaweedFS as its pod starts it, but for its folder and its ports, and the Job that follows."""

import io
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from minio import Minio
from minio.commonconfig import DISABLED, ENABLED, Filter
from minio.error import S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from spatialreward.stack.launch import answers
from spatialreward.stack.mlflow_server import BUCKET as MLFLOW_BUCKET
from spatialreward.stack.ports import free_ports
from spatialreward.stack.seaweedfs import INNER_PORTS, _find_weed
from spatialreward.storage import BUCKET as STEPS_BUCKET
from spatialreward.storage import ObjectStore
from tests.manifests.cluster import LOCAL, find, render, run_script

KEYS = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret"}


class Running(NamedTuple):
    process: psutil.Process
    s3: int
    metrics: int
    s3_grpc: int


@pytest.fixture(scope="module")
def weed(tmp_path_factory):
    pod = find(render(LOCAL), "StatefulSet", "object-store")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["weed"]
    folder = tmp_path_factory.mktemp("weed")
    with free_ports() as free:
        ports = {name: next(free) for name in ("s3.port", "metricsPort", *INNER_PORTS)}
        command = [str(_find_weed(None)), *container["args"], f"-dir={folder}"]
        command += ["-volume.preStopSeconds=0", *(f"-{name}={ports[name]}" for name in ports)]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), **KEYS},
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            deadline = time.monotonic() + 120
            while not answers(f"http://127.0.0.1:{ports['s3.port']}/healthz"):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
            names = ("s3.port", "metricsPort", "s3.port.grpc")
            yield Running(psutil.Process(process.pid), *(ports[name] for name in names))
        finally:
            process.kill()
            process.wait()
            for port in ports.values():
                for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    socket.unlink()


def test_without_a_signature_nothing_is_answered(weed):
    with pytest.raises(S3Error, match="AccessDenied"):
        Minio(f"127.0.0.1:{weed.s3}", secure=False).list_buckets()


@pytest.fixture(scope="module")
def store(weed):
    return ObjectStore(f"http://127.0.0.1:{weed.s3}", *KEYS.values())


@pytest.fixture
def job(weed, monkeypatch):
    """Runs the Job's container with the keys of the secret."""
    pod = find(render(LOCAL), "Job", "buckets")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for name, value in {"S3_ENDPOINT_URL": f"http://127.0.0.1:{weed.s3}", **KEYS}.items():
        monkeypatch.setenv(name, value)
    return lambda: run_script(container["command"], "buckets")


def test_the_job_makes_the_buckets_and_keeps_what_was_overwritten(job, store):
    job()
    buckets = {one.name for one in store.client.list_buckets()}
    assert buckets == {STEPS_BUCKET, MLFLOW_BUCKET}
    for text in (b"first", b"second"):
        store.client.put_object(MLFLOW_BUCKET, "name", io.BytesIO(text), len(text))
    versions = store.client.list_objects(MLFLOW_BUCKET, include_version=True)
    assert {
        store.client.get_object(MLFLOW_BUCKET, "name", version_id=one.version_id).read()
        for one in versions
    } == {b"first", b"second"}


def test_the_job_replaces_its_own_rules_and_no_others(job, store):
    store.ensure_bucket(STEPS_BUCKET)
    present = [
        Rule(ENABLED, rule_filter=Filter(prefix="x/"), rule_id="x", expiration=Expiration(days=3)),
        Rule(
            DISABLED,
            rule_filter=Filter(prefix="backups/"),
            rule_id="spatialreward-expire-backups/",
            expiration=Expiration(days=1),
        ),
    ]
    store.client.set_bucket_lifecycle(STEPS_BUCKET, LifecycleConfig(present))
    for _ in range(2):
        job()
    rules = {one.rule_id: one for one in store.client.get_bucket_lifecycle(STEPS_BUCKET).rules}
    assert {name: one.status for name, one in rules.items()} == dict.fromkeys(
        [
            "x",
            "spatialreward-old-versions",
            "spatialreward-unfinished-uploads",
            "spatialreward-expire-backups/",
        ],
        ENABLED,
    )
    assert rules["spatialreward-old-versions"].noncurrent_version_expiration.noncurrent_days == 30
    expiring = {
        one.rule_filter.prefix: one.expiration.days for one in rules.values() if one.expiration
    }
    # Registered models refer to artifacts/ and evaluations/.
    assert expiring == {"x/": 3, "backups/": 35}


def test_prometheus_finds_metrics(weed):
    assert answers(f"http://127.0.0.1:{weed.metrics}/metrics")


def test_all_but_s3_and_metrics_listens_on_loopback(weed):
    listening = {
        one.laddr.port
        for one in weed.process.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.ip not in ("127.0.0.1", "::1")
    }
    # S3's gRPC listens where S3 does; the policy lets no pod in.
    assert listening == {weed.s3, weed.metrics, weed.s3_grpc}
