"""What a stranger on loopback, or a web page, can do to the stack's Triton server."""

import base64
import json
import subprocess
import urllib.error
import urllib.request

import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from spatialreward.stack import Service, StackConfig, running_stack

ONLY_TRITON = frozenset({Service.S3, Service.MLFLOW})
PROGRAM = """
import pathlib
import triton_python_backend_utils as pb_utils
pathlib.Path({proof!r}).write_text("ran")
class TritonPythonModel:
    def execute(self, requests):
        return []
"""
CONFIG = json.dumps(
    {
        "backend": "python",
        "input": [{"name": "A", "data_type": "TYPE_INT32", "dims": [1]}],
        "output": [{"name": "B", "data_type": "TYPE_INT32", "dims": [1]}],
    }
)
WRONG_KEYS = [{}, {"key": "wrong"}, {"triton-grpc-protocol-key": "wrong"}, {"key": ""}]
RESTRICTED = [
    ("POST", "/v2/repository/index", {}),
    ("POST", "/v2/repository/models/evil/unload", {}),
    ("GET", "/v2/systemsharedmemory/status", None),
    (
        "POST",
        "/v2/systemsharedmemory/region/evil/register",
        {"key": "/evil", "offset": 0, "byte_size": 64},
    ),
    ("POST", "/v2/systemsharedmemory/unregister", {}),
    ("GET", "/v2/cudasharedmemory/status", None),
    ("POST", "/v2/cudasharedmemory/unregister", {}),
    ("GET", "/v2/trace/setting", None),
    ("POST", "/v2/trace/setting", {"trace_file": "/tmp/evil"}),
    ("POST", "/v2/models/evil/trace/setting", {"trace_file": "/tmp/evil"}),
    ("GET", "/v2/logging", None),
    ("POST", "/v2/logging", {"log_file": "/tmp/evil"}),
]


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory):
    config = StackConfig(state_dir=tmp_path_factory.mktemp("triton"), without=ONLY_TRITON)
    with running_stack(config) as running:
        yield running


@pytest.fixture(scope="module")
def triton(endpoints):
    return endpoints.triton


def ask(triton, method, path, body=None, headers=()):
    """Status and text of what a browser's simple request gets: no preflight comes before it."""
    request = urllib.request.Request(
        f"http://{triton.http}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "text/plain", "Origin": "http://evil.example"} | dict(headers),
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def files(proof):
    program = PROGRAM.format(proof=str(proof))
    return {"file:1/model.py": program.encode()}


@pytest.mark.parametrize("headers", WRONG_KEYS)
def test_a_post_without_the_key_runs_no_program(triton, tmp_path, headers):
    proof = tmp_path / "proof"
    encoded = {name: base64.b64encode(text).decode() for name, text in files(proof).items()}
    body = {"parameters": {"config": CONFIG} | encoded}
    status, said = ask(triton, "POST", "/v2/repository/models/evil/load", body, headers)
    assert (status, "restricted" in said) == (403, True)
    assert not proof.exists()


@pytest.mark.parametrize("metadata", [{}, {"triton-grpc-protocol-key": "wrong"}, {"key": "wrong"}])
def test_a_call_without_the_key_runs_no_program(triton, tmp_path, metadata):
    proof = tmp_path / "proof"
    client = tritonclient.grpc.InferenceServerClient(triton.grpc)
    with pytest.raises(InferenceServerException, match="restricted"):
        client.load_model("evil", headers=metadata, config=CONFIG, files=files(proof))
    assert not proof.exists()


def test_the_same_program_runs_with_the_key(triton, tmp_path):
    """Without this the tests above would pass against a server that loads nothing at all."""
    proof = tmp_path / "proof"
    client = tritonclient.grpc.InferenceServerClient(triton.grpc)
    metadata = {"triton-grpc-protocol-key": triton.repository_key}
    client.load_model("mine", headers=metadata, config=CONFIG, files=files(proof))
    assert proof.read_text() == "ran"
    client.unload_model("mine", headers=metadata)


@pytest.mark.parametrize(("method", "path", "body"), RESTRICTED)
def test_what_changes_the_server_or_shows_its_files_asks_for_the_key(triton, method, path, body):
    for headers in WRONG_KEYS:
        assert ask(triton, method, path, body, headers)[0] == 403
    # Whatever it says of a region or a model that it does not know, it is no refusal.
    if method == "GET":
        assert ask(triton, method, path, body, {"key": triton.repository_key})[0] != 403


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_model_repository_index(),
        lambda client: client.unload_model("evil"),
        lambda client: client.register_system_shared_memory("evil", "/evil", 64),
        lambda client: client.unregister_system_shared_memory(),
        lambda client: client.get_system_shared_memory_status(),
        lambda client: client.register_cuda_shared_memory("evil", b"evil", 0, 64),
        lambda client: client.update_trace_settings(settings={"trace_file": "/tmp/evil"}),
        lambda client: client.get_trace_settings(),
        lambda client: client.update_log_settings({"log_file": "/tmp/evil"}),
        lambda client: client.get_log_settings(),
    ],
)
def test_the_same_holds_over_grpc(triton, call):
    with pytest.raises(InferenceServerException, match="restricted"):
        call(tritonclient.grpc.InferenceServerClient(triton.grpc))


def test_health_and_metadata_need_no_key(triton):
    # Not `ready`: a model that is being unloaded makes that wait.
    assert ask(triton, "GET", "/v2/health/live")[0] == 200
    assert ask(triton, "GET", "/v2")[0] == 200
    client = tritonclient.grpc.InferenceServerClient(triton.grpc)
    assert client.is_server_live()
    assert client.get_server_metadata().name == "triton"


def test_no_page_of_another_site_may_read_an_answer_or_send_the_key(triton):
    asking = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "key",
    }
    request = urllib.request.Request(
        f"http://{triton.http}/v2/repository/index", headers=asking, method="OPTIONS"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    refused.value.close()
    assert not [name for name in refused.value.headers if name.lower().startswith("access-control")]


def test_the_key_is_not_in_the_list_of_processes(endpoints):
    listed = subprocess.run(
        ["ps", "-e", "-o", "args", "-ww"], capture_output=True, text=True, check=True
    ).stdout
    assert "--http-restricted-api=model-repository" in listed
    assert endpoints.triton.repository_key not in listed


def test_each_start_has_a_key_of_its_own(triton, tmp_path):
    config = StackConfig(state_dir=tmp_path / "other", without=ONLY_TRITON)
    with running_stack(config) as other:
        assert other.triton.repository_key != triton.repository_key
        assert len(other.triton.repository_key) == 40
