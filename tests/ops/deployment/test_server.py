import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.ops.deployment import DeploymentError, deploy, restore
from spatialreward.ops.deployment.errors import KeyRefused, ServerAway
from spatialreward.ops.deployment.server import Server


def test_without_the_key_the_variable_to_set_is_named(site):
    with pytest.raises(KeyRefused, match="asks for a key: set TRITON_REPOSITORY_KEY"):
        Server(site.endpoint).ready_versions(site.model)
    for ask in (Server(site.endpoint).load, Server(site.endpoint).unload):
        with pytest.raises(KeyRefused):
            ask(site.model)


def test_a_wrong_key_is_told_from_a_missing_one_and_from_a_server_that_is_away(site):
    with pytest.raises(KeyRefused, match="the key in TRITON_REPOSITORY_KEY is not this server's"):
        Server(site.endpoint, "wrong").ready_versions(site.model)
    with pytest.raises(ServerAway):
        Server("127.0.0.1:9", site.key).ready_versions(site.model)


def test_judging_needs_no_key_and_without_it_nothing_changes(site, scripted, edit):
    first, second = scripted("first", reward=0.25), scripted("second", reward=0.75)
    assert site.deploy(first) == 1
    stranger = site.where | {"key": ""}
    with pytest.raises(DeploymentError, match="TRITON_REPOSITORY_KEY"):
        deploy(second, template=site.template, **stranger)
    with pytest.raises(DeploymentError, match="TRITON_REPOSITORY_KEY"):
        restore(**stranger)
    assert site.ask(edit) == ("1", 0.25)
    assert site.on_disk() == [1]
    assert site.deploy(second) == 2
    assert site.ask(edit) == ("2", 0.75)


def test_commands_take_the_key_from_the_environment(site, scripted, monkeypatch):
    monkeypatch.setenv("TRITON_GRPC_URL", site.endpoint)
    monkeypatch.setenv("TRITON_MODEL_REPOSITORY", str(site.repository))
    monkeypatch.delenv("TRITON_REPOSITORY_KEY", raising=False)

    def run(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--name", site.model])

    deployment = ("deploy", "--model", scripted("first"), "--template", site.template)
    refused = run(*deployment)
    assert refused.exit_code == 1
    [line] = [one for one in refused.stderr.splitlines() if one.startswith("error:")]
    assert "set TRITON_REPOSITORY_KEY" in line
    assert "set TRITON_REPOSITORY_KEY" in run("deploy", "list").stdout
    monkeypatch.setenv("TRITON_REPOSITORY_KEY", site.key)
    assert run(*deployment).exit_code == 0
    assert f"loaded at {site.endpoint}: 1" in run("deploy", "list").stdout
