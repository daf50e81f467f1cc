"""SeaweedFS as its pod starts it, but for its folder and its ports, and the Job that follows."""

import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import typer
from minio import Minio
from minio.error import S3Error

from spatialreward.buckets import what_is_kept
from spatialreward.cli.main import app
from spatialreward.stack.launch import answers
from spatialreward.stack.ports import free_ports
from spatialreward.stack.seaweedfs import INNER_PORTS, _find_weed
from spatialreward.storage import ObjectStore
from tests.manifests.cluster import LOCAL, find, render

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


def test_the_job_makes_the_buckets_with_the_keys_of_the_secret(weed, monkeypatch):
    pod = find(render(LOCAL), "Job", "buckets")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    address = f"http://127.0.0.1:{weed.s3}"
    for name, value in {"S3_ENDPOINT_URL": address, **KEYS}.items():
        monkeypatch.setenv(name, value)
    words = [*container["command"][1:], *container["args"]]
    typer.main.get_command(app)(words, standalone_mode=False)
    store = ObjectStore(address, *KEYS.values())
    assert {one.name for one in store.client.list_buckets()} == {"spatialreward", "mlflow"}
    kept = what_is_kept(store, "spatialreward")
    assert kept.is_versioned
    assert kept.days["spatialreward-expire-backups/"] == 35


def test_prometheus_finds_metrics(weed):
    assert answers(f"http://127.0.0.1:{weed.metrics}/metrics")


def test_all_but_s3_and_metrics_listens_on_loopback(weed):
    listening = {
        one.laddr.port
        for one in weed.process.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.ip not in ("127.0.0.1", "::1")
    }
    # S3's gRPC listens where S3 does; the policy lets nobody in.
    assert listening == {weed.s3, weed.metrics, weed.s3_grpc}
