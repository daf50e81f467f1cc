import json

import pytest
import tritonclient.grpc
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.client import TritonJudge
from spatialreward.ops.registry import EVALUATION_TAG, set_version_tags
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
