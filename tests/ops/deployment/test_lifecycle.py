import itertools
import os
import signal
import subprocess
import sys
import time

import pytest
import tritonclient.grpc
from filelock import FileLock

from spatialreward.client import TritonJudge
from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployment import DeploymentError, deploy, restore
from spatialreward.ops.deployment.lifecycle import LOCK_FILE
from spatialreward.ops.deployment.server import Server


def test_a_switch_and_the_way_back_lose_no_request(site, scripted, edit):
    first = scripted("first", reward=0.25)
    assert site.deploy(first) == 1
    with site.asked_all_the_time(edit) as answers:
        assert site.deploy(scripted("second", reward=0.75), smoke_edits={"one": edit}) == 2
        # The version that is kept keeps its number and its origin.
        assert site.deploy(site.home / "1" / "checkpoint") == 1
    assert set(answers) == {("1", 0.25), ("2", 0.75)}
    assert site.ask(edit) == ("1", 0.25)
    with TritonJudge(site.endpoint, model=site.model) as judge:
        assert judge.notice == "first"
    assert site.folder.served() == 1
    assert site.folder.versions()[1].source == str(first)
    assert site.staging_is_gone()


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
        # A judge that fails only once it is served answers until the old one is back.
        assert {reward for _, reward in answers} <= {0.25, None if where == site.model else 0.25}
        assert site.ask(edit) == ("1", 0.25)
        assert (site.home / "config.pbtxt").read_text() == config
        assert site.on_disk() == [1]
        assert site.staging_is_gone()


def test_a_first_version_that_is_no_good_leaves_nothing(site, scripted):
    broken = scripted("bad", fails_as=[site.model], reason="the judge failed on this edit")
    with pytest.raises(DeploymentError, match="edit blank picture: the judge failed on this edit"):
        site.deploy(broken)
    assert Server(site.endpoint, site.key).ready_versions(site.model) == []
    assert list(site.home.iterdir()) == []


def test_an_interrupted_deployment_changes_nothing(site, scripted, edit):
    site.deploy(scripted("first", reward=0.25))
    slow = scripted("slow", load_s=1.5)
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        assert _deploy_and_send(site, slow, number) == status
        assert site.ask(edit) == ("1", 0.25)
        assert site.staging_is_gone()
    assert _deploy_and_send(site, slow, signal.SIGKILL) == -signal.SIGKILL
    assert site.ask(edit) == ("1", 0.25)
    # The next deployment cleans up.
    assert not site.staging_is_gone()
    assert site.deploy(scripted("next", reward=0.75)) == 2
    assert site.ask(edit) == ("2", 0.75)
    assert site.on_disk() == [1, 2]
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


def test_a_switch_that_was_killed_before_it_was_written_is_undone(site, scripted, edit):
    site.deploy(scripted("first", reward=0.25))
    config = site.home / "config.pbtxt"
    before = config.read_text()
    site.deploy(scripted("second", reward=0.75))
    config.write_text(before)
    assert site.ask(edit) == ("2", 0.75)
    restore(**site.where)
    assert site.ask(edit) == ("1", 0.25)
    # As if the first one had been killed there.
    config.unlink()
    assert restore(**site.where) is False
    assert Server(site.endpoint, site.key).ready_versions(site.model) == []


def test_only_the_versions_that_were_deployed_last_stay_on_disk(site, scripted, edit):
    for number in range(1, 4):
        site.deploy(scripted(f"version-{number}", reward=number / 4), keep=2)
    assert site.on_disk() == [2, 3]
    (site.home / "9").mkdir()
    assert site.deploy(scripted("version-4", reward=1.0), keep=1) == 10
    # No deployment has made number 9.
    assert site.on_disk() == [9, 10]
    with pytest.raises(DeploymentError, match="9: no deployment has made this folder"):
        site.deploy(scripted("version-9"), source="models:/m/9")
    assert site.ask(edit) == ("10", 1.0)


def test_two_deployments_at_once_are_one_too_many(site, scripted):
    with (
        FileLock(site.repository / LOCK_FILE),
        pytest.raises(DeploymentError, match="another process is deploying there"),
    ):
        site.deploy(scripted("second"))
    assert not site.home.exists()


def test_the_number_of_a_registered_version_is_the_registrys(site, scripted, edit):
    first = scripted("first", reward=0.25)
    assert site.deploy(first) == 1
    server = tritonclient.grpc.InferenceServerClient(site.endpoint)
    server.unload_model(site.model, headers=site.metadata)
    # What is served already is loaded and not copied.
    assert site.deploy(first, source="models:/m/1") == 1
    assert site.folder.versions()[1].source == "models:/m/1"
    assert site.deploy(scripted("seventh", reward=0.5), source="models:/m/7") == 7
    with site.asked_all_the_time(edit, threads=1) as answers:
        other = scripted("other", reward=0.75)
        assert site.deploy(other, source="models:/n/7") == 7
    # Both cannot be loaded as 7, so the new one is served under another number for a moment.
    assert set(answers) <= {("7", 0.5), ("8", 0.75), ("7", 0.75)}
    assert site.ask(edit) == ("7", 0.75)
    assert site.on_disk() == [1, 7]
    # A kept copy that was damaged is replaced.
    (site.home / "1" / "checkpoint" / "script.json").write_text("{}")
    assert site.deploy(first, source="models:/m/1") == 1
    assert site.ask(edit) == ("1", 0.25)


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
            deploy(checkpoint, **arguments)
    with pytest.raises(DeploymentError, match=r"no server answers at 127\.0\.0\.1:9"):
        deploy(good, **where | {"endpoint": "127.0.0.1:9"})
    assert not site.home.exists()
