import json

import pytest
import tritonclient.grpc
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.client import TritonJudge
from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployment import DeploymentError
from spatialreward.ops.deployment.repository import Candidate, ModelFolder
from spatialreward.ops.registry import EVALUATION_TAG, set_version_tags
from spatialreward.protocol.prompts import TINY
from tests.evaluated import register_evaluated, stored_report


@pytest.fixture
def registered(client, scripted):
    """A registered model with a version whose report is about another checkpoint."""
    for name in ("first", "second", "third"):
        made = register_evaluated("packed", scripted(name, reward=0.25))
    report = stored_report("ab" * 32, {})
    set_version_tags(made, {EVALUATION_TAG: str(report)})


def run(site, out, model):
    options = {"--model": model, "--out": out, "--template": site.template, "--name": site.model}
    arguments = [str(part) for option in options.items() for part in option]
    return CliRunner().invoke(app, ["deploy", "serving-repository", *arguments])


def test_a_server_loads_what_was_written_for_it_as_the_registrys_version(site, registered, edit):
    for _ in range(2):
        done = run(site, site.repository, "models:/packed/2")
        assert done.stdout == f"{site.repository} serves {site.model}/2\n", done.stderr
    assert site.on_disk() == [2]
    assert site.staging_is_gone()
    server = tritonclient.grpc.InferenceServerClient(site.endpoint)
    server.load_model(site.model, headers=site.metadata)
    assert site.ask(edit) == ("2", 0.25)
    with TritonJudge(site.endpoint, model=site.model) as judge:
        assert judge.notice == "second"


def test_what_is_not_what_was_evaluated_is_not_written(site, registered, tmp_path):
    done = run(site, tmp_path / "out", "models:/packed/3")
    assert done.exit_code == 1
    assert "its evaluation report is about checkpoint abab" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_is_version_1(site, scripted, tmp_path):
    done = run(site, tmp_path / "out", scripted("plain"))
    assert done.stdout.endswith(f"serves {site.model}/1\n")
    script = tmp_path / "out" / site.model / "1" / "checkpoint" / "script.json"
    assert json.loads(script.read_text()) == {"reward": 0.5}


def test_a_copy_that_differs_from_the_checkpoint_is_refused(tmp_path, scripted, scripted_template):
    candidate = Candidate.check(scripted("checkpoint"), scripted_template, "")
    folder = ModelFolder(tmp_path, "judge")
    folder.stage(candidate, 1)
    folder.remove_staging()
    with pytest.raises(DeploymentError, match="2/checkpoint: expected sha256 abab"):
        folder.stage(candidate._replace(sha256="ab" * 32), 2)


def test_a_versions_configuration_says_who_judges(scripted, scripted_template, tmp_path):
    made = Candidate.check(scripted('a "notice", naïve'), scripted_template, "models:/m/3")
    folder = ModelFolder(tmp_path, "judge")
    folder.home.mkdir()
    folder.select(made.config("judge", 3))
    config = text_format.Parse((folder.home / "config.pbtxt").read_bytes(), ModelConfig())
    assert {name: one.string_value for name, one in config.parameters.items()} == {
        "notice": 'a "notice", naïve',
        "judge_weights": made.sha256,
        "judge_protocol": TINY.reference,
        "judge_aggregation": "geometric",
    }
    assert config.name == "judge"
    assert folder.served() == 3
    (folder.home / "config.pbtxt").write_text("name: judge")
    with pytest.raises(InvalidInputError, match=r"config\.pbtxt: no configuration of a model"):
        folder.served()
