import datetime
import ipaddress
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kfp_server_api import ApiClient

from spatialreward.ops.kubeflow import (
    Credentials,
    Request,
    ServerConfig,
    publish,
    read_package,
    start,
)
from spatialreward.ops.kubeflow.client import KubeflowPipelines
from tests.ops.kubeflow.standin import StandIn


@pytest.fixture
def standin(monkeypatch):
    """A server of its own for each test; whatever did not fit the specification fails it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ENDPOINT", "UI_ENDPOINT", "TOKEN", "SA_TOKEN_PATH", "COOKIE", "HEADERS_FILE"):
        monkeypatch.delenv(f"KF_PIPELINES_{name}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("spatialreward.ops.kubeflow.client._FIRST_WAIT_S", 0.0)
    with StandIn() as server:
        yield server
    assert server.broken == []


@pytest.fixture
def pauses():
    """How long a client of ``connect`` has waited, each time; it does not really wait."""
    return []


@pytest.fixture
def connect(standin, pauses):
    """Makes a client of the server."""

    def connect(namespace="", **settings):
        settings = {"url": standin.url, "credentials": Credentials(), "timeout_s": 20} | settings
        return KubeflowPipelines(ServerConfig(**settings), namespace, pauses.append)

    return connect


@pytest.fixture
def client(connect):
    return connect()


def run_of(told):
    """A run as the client reads it."""
    return ApiClient().deserialize(SimpleNamespace(data=json.dumps(told)), "V2beta1Run")


def spec_of(name="spatialreward-tiny"):
    """A pipeline of a loop, a step that follows it, and one step beside."""

    def task(key, *waits_for, name=None):
        told = {"componentRef": {"name": f"comp-{key}"}, "taskInfo": {"name": name or key}}
        return told | ({"dependentTasks": list(waits_for)} if waits_for else {})

    leaves = ("build-shard", "build-shard-2", "merge-shards", "train-judge")
    components = {f"comp-{key}": {"executorLabel": f"exec-{key}"} for key in leaves}
    components["comp-for-loop-2"] = {"dag": {"tasks": {"build-shard": task("build-shard")}}}
    loop = task("for-loop-2", name="shards") | {"parameterIterator": {"items": {"raw": "[0, 1]"}}}
    tasks = {
        "train-judge": task("train-judge", "merge-shards"),
        "merge-shards": task("merge-shards", "for-loop-2"),
        "for-loop-2": loop,
        "build-shard-2": task("build-shard-2", name="build-heldout"),
    }
    parameters = {
        "parent_run_id": {"parameterType": "STRING", "defaultValue": "", "isOptional": True},
        "steps": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3},
        "share": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.5},
        "rerun": {"parameterType": "BOOLEAN", "defaultValue": False},
        "seeds": {"parameterType": "LIST", "defaultValue": [1]},
        "more": {"parameterType": "STRUCT", "defaultValue": {}},
    }
    return {
        "pipelineInfo": {"name": name, "description": "Data and judge."},
        "components": components,
        "root": {"dag": {"tasks": tasks}, "inputDefinitions": {"parameters": parameters}},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
    }


@pytest.fixture
def write_package(tmp_path):
    """Writes a compiled pipeline, with changes."""

    def write(*further, file="pipeline.yaml", **changes) -> Path:
        path = tmp_path / file
        path.write_text(yaml.safe_dump_all([spec_of() | changes, *further]))
        return path

    return write


@pytest.fixture
def package(write_package):
    return read_package(write_package())


@pytest.fixture
def submit(client, package):
    """Starts a run and returns it."""

    def submit(name="nightly", **request):
        version, _ = publish(client, package)
        return start(client, version, Request(run_name=name, **request))

    return submit


@pytest.fixture
def tls_standin(standin, tmp_path):
    """Address of the server over TLS, and the certificate that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    standin.use_tls(certificate_file, key_file)
    return standin.url, certificate_file
