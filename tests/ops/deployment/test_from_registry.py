import json

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.registry import (
    EVALUATION_TAG,
    ModelVersion,
    remove_version_tags,
    set_alias,
    set_version_tags,
)
from tests.evaluated import register_evaluated, stored_report


@pytest.fixture
def register(client):
    """Registers checkpoints as versions of a model, the champion the last one."""

    def register(folder):
        made = register_evaluated("served", folder)
        set_alias(made, "champion")
        return made

    return register


@pytest.fixture
def run(site, monkeypatch):
    """Runs a command as a user who has set the stack's environment."""
    monkeypatch.setenv("TRITON_GRPC_URL", site.endpoint)
    monkeypatch.setenv("TRITON_REPOSITORY_KEY", site.key)
    monkeypatch.setenv("TRITON_MODEL_REPOSITORY", str(site.repository))
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments), "--name", site.model])


def test_registered_models_are_deployed_listed_and_gone_back_to(
    run, register, site, scripted, edit, tmp_path
):
    template = ("--template", site.template)
    pictures = {"source": "s.png", "edited": "e.png"}
    for name, picture in zip(pictures.values(), (edit.source, edit.edited), strict=True):
        picture.save(tmp_path / name)
    (tmp_path / "edits.jsonl").write_text(json.dumps({"id": "a", "instruction": "add"} | pictures))
    smoke = ("--smoke-edits", tmp_path / "edits.jsonl")

    first = register(scripted("first", reward=0.25))
    assert run("deploy", "--model", "models:/served@champion", *template).exit_code == 0
    second = register(scripted("second", reward=0.75))
    done = run("deploy", "--model", "models:/served@champion", *template, *smoke)
    assert done.stdout == f"{site.model} version 2 is served at {site.endpoint}: {second.uri}\n"
    third = register(scripted("third"))
    set_version_tags(third, {"serving": "failed: smoke edit a"})
    table = run("deploy", "list", "--registered", "served")
    assert f"loaded at {site.endpoint}: 2" in table.stdout
    listed = json.loads(run("deploy", "list", "--registered", "served", "--json").stdout)
    assert listed["served"] == 2
    rows = [
        (one["source"], one["here"], one["aliases"], one["serving"]) for one in listed["versions"]
    ]
    assert rows == [
        (third.uri, "", ["champion"], "failed: smoke edit a"),
        (second.uri, "served", [], ""),
        (first.uri, "kept", [], ""),
    ]
    assert listed["versions"][1]["sha256"] == digest_folder(site.home / "2" / "checkpoint")
    back = run("deploy", "--model", first.uri, *template)
    assert back.stdout == f"{site.model} version 1 is served at {site.endpoint}: {first.uri}\n"
    assert site.ask(edit) == ("1", 0.25)


def test_a_model_without_a_report_is_refused(run, register, site, scripted):
    made = register(scripted("other"))
    remove_version_tags(made, [EVALUATION_TAG])
    result = run("deploy", "--model", made.uri, "--template", site.template)
    assert result.exit_code == 1
    assert f"error: {made.uri}: has no evaluation report (tag 'evaluation')" in result.stderr
    assert not site.home.exists()


def test_a_version_that_an_older_release_has_copied_into_mlflow_is_refused(client, run, site):
    client.create_registered_model("copied")
    client.create_model_version("copied", "s3://mlflow/1/ab/artifacts/model")
    made = ModelVersion("copied", 1)
    result = run("deploy", "--model", made.uri, "--template", site.template)
    assert result.exit_code == 1
    told = " ".join(result.stderr.split())
    assert f"error: {made.uri}: its source is no artifact, 's3://mlflow/1/ab/arti" in told
    assert "register the checkpoint again: run the pipeline" in told


def test_a_model_whose_report_is_about_another_is_refused(run, register, site, scripted):
    made = register(scripted("evaluated"))
    set_version_tags(made, {EVALUATION_TAG: str(stored_report("ab" * 32, {}))})
    result = run("deploy", "--model", made.uri, "--template", site.template)
    assert result.exit_code == 1
    assert f"error: {made.uri}: its evaluation report is about checkpoint abab" in result.stderr
    assert not site.home.exists()


def test_a_cached_model_that_was_changed_is_refused(run, register, site, scripted, tmp_path):
    made = register(scripted("cached"))
    assert run("deploy", "--model", made.uri, "--template", tmp_path).exit_code == 1
    (cached,) = (tmp_path / "cache").iterdir()
    (cached / "script.json").write_text("{}")
    result = run("deploy", "--model", made.uri, "--template", site.template)
    assert f"{made.uri} in {cached}: expected sha256" in result.stderr
