import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import tritonclient.grpc

from spatialreward.client import TritonJudge
from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployment import DeploymentError, History, deploy_once, rollback
from spatialreward.ops.deployment.exclusive import exclusive
from spatialreward.ops.deployment.server import Server


def test_a_switch_and_a_rollback_lose_no_request(site, scripted, edit):
    assert site.deploy(scripted("first", reward=0.25)) == 1
    with site.asked_all_the_time(edit) as answers:
        assert site.deploy(scripted("second", reward=0.75), smoke_edits={"one": edit}) == 2
        assert rollback(**site.where) == 1
    assert set(answers) == {("1", 0.25), ("2", 0.75)}
    assert site.ask(edit) == ("1", 0.25)
    with TritonJudge(site.endpoint, model=site.model) as judge:
        assert judge.notice == "first"
    assert site.states() == {1: "good", 2: "withdrawn"}
    assert site.staging_is_gone()
    with pytest.raises(DeploymentError, match="holds no version to roll back to"):
        rollback(**site.where)


def test_a_version_that_is_no_good_is_not_switched_to(site, scripted, edit):
    site.deploy(scripted("first", reward=0.25))
    config = (site.home / "config.pbtxt").read_text()
    reasons = {"breaks_as": "these weights are broken", "fails_as": "edit one: answer is not JSON"}
    cases = list(itertools.product(reasons, ["-staging", site.model]))
    for number, (what, where) in enumerate(cases):
        bad = scripted(f"bad-{number}", reward=0.75, **{what: [where]})
        with (
            site.asked_all_the_time(edit) as answers,
            pytest.raises(DeploymentError, match=reasons[what]),
        ):
            site.deploy(bad, smoke_edits={"one": edit})
        # A judge that fails only once it is served was asked meanwhile, and told that it failed.
        assert {reward for _, reward in answers} <= {0.25, None if where == site.model else 0.25}
        assert site.ask(edit) == ("1", 0.25)
        assert (site.home / "config.pbtxt").read_text() == config
        assert site.on_disk() == [1]
        assert site.staging_is_gone()
    assert site.states() == {1: "good", 2: "failed", 3: "failed", 4: "failed", 5: "failed"}


def test_a_first_version_that_is_no_good_leaves_nothing(site, scripted):
    broken = scripted("bad", fails_as=[site.model], reason="the judge failed on this edit")
    with pytest.raises(DeploymentError, match="edit blank picture: the judge failed on this edit"):
        site.deploy(broken)
    assert Server(site.endpoint, site.key).ready_versions(site.model) == []
    assert [path.name for path in site.home.iterdir()] == ["deployments.json"]


def test_an_interrupted_deployment_changes_nothing(site, scripted, edit):
    site.deploy(scripted("first", reward=0.25))
    slow = scripted("slow", load_s=1.5)
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        assert _deploy_and_send(site, slow, number) == status
        assert site.ask(edit) == ("1", 0.25)
        assert site.staging_is_gone()
    assert _deploy_and_send(site, slow, signal.SIGKILL) == -signal.SIGKILL
    assert site.ask(edit) == ("1", 0.25)
    # Nobody could clean up; whoever comes next does.
    assert not site.staging_is_gone()
    assert site.deploy(scripted("next", reward=0.75)) == 5
    assert site.ask(edit) == ("5", 0.75)
    assert site.states() == {1: "good", 2: "failed", 3: "failed", 4: "failed", 5: "good"}
    assert site.on_disk() == [1, 5]
    assert site.staging_is_gone()


def _deploy_and_send(site, checkpoint, number):
    """Send a signal to a deployment while the server loads the staged copy; its exit status."""
    code = "from spatialreward.cli.main import main; main()"
    command = [sys.executable, "-c", code, "deploy"]
    options = {"--model": checkpoint, "--template": site.template, "--name": site.model}
    variables = {
        "TRITON_GRPC_URL": site.endpoint,
        "TRITON_REPOSITORY_KEY": site.key,
        "TRITON_MODEL_REPOSITORY": str(site.repository),
    }
    process = subprocess.Popen(
        command + [str(part) for option in options.items() for part in option],
        env=os.environ | variables,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "loading it as" in line:
            break
    time.sleep(0.3)
    process.send_signal(number)
    process.communicate(timeout=120)
    return process.returncode


def test_a_switch_that_was_killed_is_undone_by_whoever_comes_next(site, scripted, edit):
    site.deploy(scripted("first", reward=0.25))
    before = (site.home / "config.pbtxt").read_text()
    site.deploy(scripted("second", reward=0.75))
    (site.home / "deployments.json").write_text(_killed_before_it_was_written(site, before))
    with pytest.raises(DeploymentError, match="holds no version to roll back to"):
        rollback(**site.where)
    assert site.ask(edit) == ("1", 0.25)
    assert site.states() == {1: "good", 2: "failed"}
    assert site.on_disk() == [1]


def _killed_before_it_was_written(site, config_before):
    history = json.loads((site.home / "deployments.json").read_text())
    history["served"] = 1
    history["versions"][1]["state"] = "deploying"
    history["switch"] = {"version": 2, "config_before": config_before}
    return json.dumps(history)


def test_old_versions_are_removed_and_damaged_ones_not_returned_to(site, scripted, edit):
    for number in range(1, 4):
        site.deploy(scripted(f"version-{number}", reward=number / 4), keep=1)
    # The newest is served; the one before is what a rollback returns to.
    assert site.on_disk() == [2, 3]
    assert site.states() == {1: "pruned", 2: "good", 3: "good"}
    (site.home / "2" / "checkpoint" / "script.json").write_text('{"reward": 1}')
    with pytest.raises(DeploymentError, match=r"2/checkpoint: expected sha256 \w+, got"):
        rollback(**site.where)
    assert site.ask(edit) == ("3", 0.75)


def test_two_deployments_at_once_are_one_too_many(site, scripted):
    with (
        exclusive(site.repository),
        pytest.raises(DeploymentError, match=f"process {os.getpid()} on .* is deploying there"),
    ):
        site.deploy(scripted("second"))
    assert not site.home.exists()


def test_a_checkpoint_that_is_served_is_not_copied_again(site, scripted, edit):
    first = scripted("first", reward=0.25)
    once = {"template": site.template, **site.where}
    assert deploy_once(first, **once) == 1
    server = tritonclient.grpc.InferenceServerClient(site.endpoint)
    server.unload_model(site.model, headers=site.metadata)
    assert deploy_once(first, source="models:/m/1", **once) == 1
    assert site.ask(edit) == ("1", 0.25)
    assert deploy_once(scripted("second"), source="models:/m/2", **once) == 2
    assert History.read(site.home).versions[1].source == "models:/m/2"


def test_what_cannot_be_deployed_is_named(site, scripted, tmp_path):
    good = scripted("good")
    where = site.where | {"template": site.template}
    cases = [
        (tmp_path, where, "no model here, expected a config.json"),
        (good, where | {"template": tmp_path}, r"config\.pbtxt: missing"),
        (good, where | {"repository": tmp_path / "no"}, "repository .*no: there is no such folder"),
        (good, where | {"model": "a-staging"}, "'a-staging': expected letters"),
    ]
    for checkpoint, arguments, message in cases:
        with pytest.raises(InvalidInputError, match=message):
            deploy_once(checkpoint, **arguments)
    with pytest.raises(DeploymentError, match=r"no server answers at 127\.0\.0\.1:9"):
        deploy_once(good, **where | {"endpoint": "127.0.0.1:9"})
    assert not site.home.exists()
