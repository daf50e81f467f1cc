"""Addresses that are not what they were taken for, with a real Triton: one line that leads on."""

import asyncio
import socket
import time
from urllib.parse import urlsplit

import pytest
from PIL import Image
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.client import (
    AsyncTritonJudge,
    ModelNotServed,
    ServerUnavailable,
    TritonJudge,
    WrongAddress,
)
from spatialreward.client.handshake import speaks_http
from spatialreward.ops.deployment.errors import ServerAway
from spatialreward.ops.deployment.server import Server

DEPLOYING = "deploy one with: spatialreward deploy --model models:/spatial-reward@champion"


@pytest.fixture(params=["http", "metrics"])
def other_port(triton, request):
    """Where Triton speaks HTTP."""
    address = getattr(triton, request.param)
    return urlsplit(address if "://" in address else f"//{address}").netloc


@pytest.fixture
def expected(other_port):
    return f"{other_port} answers HTTP, expected Triton's gRPC port (usually 8001)"


def test_a_port_that_speaks_http_is_told_apart_at_once(other_port, expected, edit):
    with TritonJudge(other_port) as judge:
        for ask in (lambda: judge.judge([edit]), judge.check, lambda: judge.notice):
            start = time.monotonic()
            with pytest.raises(WrongAddress) as caught:
                ask()
            assert str(caught.value) == expected
            assert time.monotonic() - start < 2.5, "it was asked again"


def test_it_is_so_from_asyncio_too(other_port, expected, edit):
    async def ask():
        async with AsyncTritonJudge(other_port) as judge:
            await judge.judge([edit])

    with pytest.raises(WrongAddress) as caught:
        asyncio.run(ask())
    assert str(caught.value) == expected


def test_a_deployment_to_it_says_so(other_port, expected):
    with pytest.raises(ServerAway) as caught:
        Server(other_port).ready_versions("judge")
    assert str(caught.value) == expected


def test_a_grpc_port_and_one_where_nothing_listens_do_not_speak_http(triton):
    assert speaks_http(triton.grpc) is None
    with socket.create_server(("127.0.0.1", 0)) as listening:
        away = f"127.0.0.1:{listening.getsockname()[1]}"
    assert speaks_http(away) is None
    assert speaks_http("unix:/run/triton.sock") is None
    with (
        TritonJudge(away, attempts=1) as judge,
        pytest.raises(ServerUnavailable, match=f"no server answers at {away}") as caught,
    ):
        judge.check()
    assert not isinstance(caught.value, WrongAddress)


@pytest.fixture
def judge_at(tmp_path):
    """The error line of ``spatialreward judge --endpoint``."""
    for name in ("s.png", "e.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    pictures = ["--source", str(tmp_path / "s.png"), "--edited", str(tmp_path / "e.png")]

    def judge_at(endpoint):
        arguments = ["judge", *pictures, "--instruction", "make it red", "--endpoint", endpoint]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        return line

    return judge_at


def test_the_command_line_says_each_in_one_line(triton, other_port, expected, judge_at):
    assert judge_at(other_port) == f"error: {expected}"
    assert judge_at(triton.grpc) == (
        f"error: no model 'judge' is loaded at {triton.grpc}; {DEPLOYING}"
    )


def test_a_model_that_was_unloaded_is_told_apart_from_a_server_that_is_away(site, scripted, edit):
    site.deploy(scripted("first", reward=0.25))
    Server(site.endpoint, site.key).unload(site.model)
    expected = rf"^no model '{site.model}' is loaded at {site.endpoint}; {DEPLOYING} --name"
    with TritonJudge(site.endpoint, model=site.model) as judge:
        for ask in (lambda: judge.judge([edit]), judge.check):
            with pytest.raises(ModelNotServed, match=expected):
                ask()
