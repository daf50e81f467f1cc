"""What a stranger on loopback, or a web page, can do at the ports of the stack's object store."""

import re
import ssl
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

import grpc
import psutil
import pytest

from spatialreward.stack import Service, StackConfig, running_stack
from spatialreward.stack.mutual_tls import CERTIFICATE, KEY
from spatialreward.storage import ObjectStore

HTTP = ("master.port", "volume.port", "filer.port")
GRPC = ("master.port.grpc", "volume.port.grpc", "filer.port.grpc", "s3.port.grpc")
CONTENT = {"the": "only copy"}
BUCKET, NAME = "mine", "object"
# Paths at which each part lists, reads, writes and deletes where it asks for nothing.
PATHS = {
    "master.port": [
        "/dir/assign",
        "/dir/lookup?volumeId=1",
        "/dir/status",
        "/vol/status",
        "/vol/grow?count=1",
        "/vol/vacuum",
        f"/col/delete?collection={BUCKET}",
        "/submit",
    ],
    "volume.port": ["/status", "/ui/index.html", "/1,01637037d6"],
    "filer.port": ["/", f"/buckets/{BUCKET}/", f"/buckets/{BUCKET}/{NAME}?recursive=true"],
}
# An empty request is a whole one: each of these answers where nothing is asked for.
CALLS = {
    "master.port.grpc": ["/master_pb.Seaweed/VolumeList", "/master_pb.Seaweed/Assign"],
    "volume.port.grpc": ["/volume_server_pb.VolumeServer/VolumeServerStatus"],
    "filer.port.grpc": [
        "/filer_pb.SeaweedFiler/GetFilerConfiguration",
        "/filer_pb.SeaweedFiler/ListEntries",
        "/iam_pb.SeaweedIdentityAccessManagement/ListUsers",
    ],
    "s3.port.grpc": ["/messaging_pb.SeaweedS3IamCache/PutIdentity"],
}


class ObjectServer:
    """A running object store, its ports by name, and one object in it."""

    def __init__(self, endpoints, state_dir):
        self.process = psutil.Process(endpoints.processes[0].pid)
        options = re.findall(r"-([a-z0-9.]+)=(\d+)", " ".join(self.process.cmdline()))
        self.ports = {name: int(value) for name, value in options if ".port" in name}
        self.folder = state_dir / "s3"
        s3 = endpoints.s3
        self.store = ObjectStore(s3.endpoint_url, s3.access_key, s3.secret_key)
        self.store.ensure_bucket(BUCKET)
        self.uri = f"s3://{BUCKET}/{NAME}"
        self.store.put_json_if_absent(self.uri, CONTENT)

    def pem(self, name):
        return (self.folder / name).read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    state_dir = tmp_path_factory.mktemp("s3")
    config = StackConfig(state_dir=state_dir, without=frozenset({Service.MLFLOW, Service.TRITON}))
    with running_stack(config) as endpoints:
        yield ObjectServer(endpoints, state_dir)


def without_certificate():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def with_certificate(server):
    context = ssl.create_default_context(cafile=server.folder / CERTIFICATE)
    context.load_cert_chain(server.folder / CERTIFICATE, server.folder / KEY)
    return context


_NO_TLS = b"Client sent an HTTP request to an HTTPS server"
"""Go's own word of a server that has not looked at the request."""


def ask(url, method, context=None):
    """Status of an answer; None where there is none because no TLS comes about."""
    body = None if method in ("GET", "DELETE") else b"written by a stranger"
    request = urllib.request.Request(
        url, data=body, method=method, headers={"Content-Type": "text/plain"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as response:
            return response.status
    except urllib.error.HTTPError as error:
        try:
            with error:
                said = error.read()
        except ConnectionResetError:
            # A server that does not read what is sent may reset the connection behind its answer.
            said = _NO_TLS if error.code == HTTPStatus.BAD_REQUEST else b""
        return None if _NO_TLS in said else error.code
    except (ssl.SSLError, ConnectionError, urllib.error.URLError) as error:
        if "refused" in str(error):
            raise  # nothing listens there
        return None


def call(channel, method):
    """The status of a gRPC call with an empty request."""
    try:
        channel.unary_unary(method, lambda data: data, lambda data: data)(b"", timeout=30)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_the_ports_that_are_attacked_below_are_all_that_there_are(server):
    listening = {
        one.laddr.port
        for one in server.process.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    }
    assert listening == {server.ports[name] for name in (*HTTP, *GRPC, "s3.port")}
    assert set(PATHS) == set(HTTP)
    assert set(CALLS) == set(GRPC)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("part", HTTP)
def test_http_is_not_answered_without_the_certificate(server, part, method):
    for path in PATHS[part]:
        where = f"127.0.0.1:{server.ports[part]}{path}"
        assert ask(f"http://{where}", method) is None
        assert ask(f"https://{where}", method, without_certificate()) is None
    assert server.store.get_json(server.uri) == CONTENT


@pytest.mark.parametrize("part", HTTP)
def test_http_is_answered_with_the_certificate(server, part):
    """Without this the test above would pass with nothing behind the ports."""
    url = f"https://127.0.0.1:{server.ports[part]}{PATHS[part][0]}"
    assert ask(url, "GET", with_certificate(server)) == 200


@pytest.mark.parametrize("part", GRPC)
def test_grpc_is_not_answered_without_the_certificate(server, part):
    where = f"127.0.0.1:{server.ports[part]}"
    unknown = grpc.ssl_channel_credentials(server.pem(CERTIFICATE))
    with grpc.insecure_channel(where) as plain, grpc.secure_channel(where, unknown) as stranger:
        for method in CALLS[part]:
            assert call(plain, method) is grpc.StatusCode.UNAVAILABLE
            assert call(stranger, method) is grpc.StatusCode.UNAVAILABLE
    assert server.store.get_json(server.uri) == CONTENT


@pytest.mark.parametrize("part", GRPC)
def test_grpc_is_answered_with_the_certificate(server, part):
    where = f"127.0.0.1:{server.ports[part]}"
    pems = (server.pem(CERTIFICATE), server.pem(KEY), server.pem(CERTIFICATE))
    with grpc.secure_channel(where, grpc.ssl_channel_credentials(*pems)) as channel:
        for method in CALLS[part]:
            assert call(channel, method) is not grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_s3_itself_asks_for_a_signature(server, method):
    for path in ("/", f"/{BUCKET}", f"/{BUCKET}/{NAME}"):
        url = f"http://127.0.0.1:{server.ports['s3.port']}{path}"
        assert ask(url, method) in (403, 405), path
    assert server.store.get_json(server.uri) == CONTENT


def test_sockets_and_files_are_their_owners_only(server):
    sockets = [
        path
        for number in server.ports.values()
        for path in Path("/tmp").glob(f"seaweedfs-*-{number}.sock")
    ]
    assert sockets
    files = [server.folder / name for name in (CERTIFICATE, KEY, "identities.json")]
    assert {path.stat().st_mode & 0o077 for path in (*sockets, *files)} == {0}


def test_a_variable_of_the_callers_opens_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("WEED_HTTPS_FILER_CERT", "")
    monkeypatch.setenv("WEED_GRPC_FILER_CERT", "")
    config = StackConfig(state_dir=tmp_path, without=frozenset({Service.MLFLOW, Service.TRITON}))
    with running_stack(config) as endpoints:
        other = ObjectServer(endpoints, tmp_path)
        assert ask(f"http://127.0.0.1:{other.ports['filer.port']}/", "GET") is None
