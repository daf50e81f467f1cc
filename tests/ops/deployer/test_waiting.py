import pytest

from spatialreward.ops.deployer.waiting import wait_until_served
from spatialreward.ops.deployment.errors import DeploymentError
from spatialreward.ops.registry import set_version_tags
from tests.client.conftest import server, start_server  # noqa: F401 - a judge that is version 3

SERVED = {"serving": "served", "served_as": "judge/3"}


@pytest.fixture
def model(registry, tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    return registry.promote(folder)


def wait(model, server, timeout_s=0.0):  # noqa: F811
    wait_until_served(model, server.address, timeout_s=timeout_s, poll_s=0.01)


def test_a_champion_is_waited_for_until_the_server_answers_with_it(model, server):  # noqa: F811
    with pytest.raises(DeploymentError, match=r"after 0 s: no deployer has said anything"):
        wait(model, server)
    set_version_tags(model, {"serving": "served"})
    with pytest.raises(DeploymentError, match="does not say as what it is served"):
        wait(model, server)
    set_version_tags(model, SERVED | {"served_as": "judge/2"})
    with pytest.raises(DeploymentError, match=r"says it is, but judge/2: .* judged by judge/3"):
        wait(model, server)
    set_version_tags(model, SERVED)
    wait(model, server)


def test_what_the_deployer_said_is_passed_on(model, server, registry, tmp_path):  # noqa: F811
    set_version_tags(model, {"serving": "failed: these weights are broken"})
    with pytest.raises(DeploymentError, match="could not serve it: these weights are broken"):
        wait(model, server, timeout_s=60)
    set_version_tags(model, SERVED)
    second = registry.promote(tmp_path / "checkpoint")
    with pytest.raises(DeploymentError, match=f"{model.uri}: the champion is {second.uri} now"):
        wait(model, server, timeout_s=60)
