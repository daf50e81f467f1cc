import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import tritonclient.grpc

from spatialreward.client import TritonJudge
from spatialreward.deployment import DeploymentError, History, deploy_once, rollback
from spatialreward.deployment.exclusive import exclusive
from spatialreward.deployment.server import Server
from spatialreward.errors import InvalidInputError


@contextmanager
def asked_all_the_time(site, edit):
    """Ask from several threads for the length of a block; yields the answers, all of them."""
    over = threading.Event()
    answers, errors = [], []

    def ask():
        while not over.is_set():
            try:
                answers.append(site.ask(edit))
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert errors == []


def test_a_switch_and_a_rollback_lose_no_request(site, scripted, edit):
    assert site.deploy(scripted("first", reward=0.25)) == 1
    with asked_all_the_time(site, edit) as answers:
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


@pytest.mark.parametrize("what", ["breaks_as", "fails_as"])
@pytest.mark.parametrize("staged", [True, False], ids=["staged", "served"])
def test_a_version_that_is_no_good_is_not_switched_to(site, scripted, edit, what, staged):
    site.deploy(scripted("first", reward=0.25))
    config = (site.home / "config.pbtxt").read_text()
    bad = scripted("bad", reward=0.75, **{what: ["-staging" if staged else site.model]})
    reason = {"breaks_as": "these weights are broken", "fails_as": "edit one: answer is not JSON"}
    with (
        asked_all_the_time(site, edit) as answers,
        pytest.raises(DeploymentError, match=reason[what]),
    ):
        site.deploy(bad, smoke_edits={"one": edit})
    # A judge that fails only once it is served has had its say, and told that it failed.
    assert set(answers) - {("2", None)} == {("1", 0.25)}
    assert site.ask(edit) == ("1", 0.25)
    assert (site.home / "config.pbtxt").read_text() == config
    assert site.states() == {1: "good", 2: "failed"}
    assert site.on_disk() == [1]
    assert site.staging_is_gone()


def test_a_first_version_that_is_no_good_leaves_nothing(site, scripted, edit):
    with pytest.raises(DeploymentError, match="answer is not JSON"):
        site.deploy(scripted("bad", fails_as=[site.model]), smoke_edits={"one": edit})
    assert Server(site.endpoint).ready_versions(site.model) == []
    assert [path.name for path in site.home.iterdir()] == ["deployments.json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_deployment_changes_nothing(site, scripted, edit, number):
    site.deploy(scripted("first", reward=0.25))
    slow = scripted("slow", load_s=1.5)
    options = {"--model": slow, "--template": site.template, "--name": site.model}
    process = subprocess.Popen(
        [sys.executable, "-c", "from spatialreward.cli.main import main; main()", "deploy"]
        + [str(part) for option in options.items() for part in option],
        env=os.environ
        | {"TRITON_GRPC_URL": site.endpoint, "TRITON_MODEL_REPOSITORY": str(site.repository)},
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "loading it as" in line:
            break
    time.sleep(0.3)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -9)
    assert site.ask(edit) == ("1", 0.25)
    if number == signal.SIGKILL:
        # Nobody could clean up; whoever comes next does.
        assert not site.staging_is_gone()
        assert site.deploy(scripted("next", reward=0.75)) == 3
        assert site.ask(edit) == ("3", 0.75)
    assert site.states()[2] == "failed"
    assert 2 not in site.on_disk()
    assert site.staging_is_gone()


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


def test_a_rollback_to_files_that_changed_is_refused(site, scripted, edit):
    site.deploy(scripted("first", reward=0.25))
    site.deploy(scripted("second", reward=0.75))
    (site.home / "1" / "checkpoint" / "script.json").write_text('{"reward": 1}')
    with pytest.raises(DeploymentError, match=r"1/checkpoint: expected sha256 \w+, got"):
        rollback(**site.where)
    assert site.ask(edit) == ("2", 0.75)


def test_old_versions_are_removed_but_never_the_one_to_return_to(site, scripted):
    for number in range(1, 4):
        site.deploy(scripted(f"version-{number}"), keep=1)
    assert site.on_disk() == [2, 3]
    assert site.states() == {1: "pruned", 2: "good", 3: "good"}


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
    tritonclient.grpc.InferenceServerClient(site.endpoint).unload_model(site.model)
    assert deploy_once(first, source="models:/m/1", **once) == 1
    assert site.ask(edit) == ("1", 0.25)
    assert deploy_once(scripted("second"), source="models:/m/2", **once) == 2
    assert History.read(site.home).versions[1].source == "models:/m/2"


def test_what_cannot_be_deployed_is_named(site, scripted, tmp_path):
    good = scripted("good")
    where = site.where | {"template": site.template}
    cases = [
        (tmp_path, where, "no protocol.json, so this checkpoint was not trained to judge"),
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
