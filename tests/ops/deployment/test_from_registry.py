import json

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.registry import (
    CHECKSUM_TAG,
    EVALUATION_TAG,
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
    """Runs a command as somebody who has set the stack's environment."""
    monkeypatch.setenv("TRITON_GRPC_URL", site.endpoint)
    monkeypatch.setenv("TRITON_REPOSITORY_KEY", site.key)
    monkeypatch.setenv("TRITON_MODEL_REPOSITORY", str(site.repository))
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments), "--name", site.model])


def test_registered_models_are_deployed_listed_and_rolled_back(
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
    listed = run("deploy", "list")
    assert f"loaded at {site.endpoint}: 2" in listed.stdout
    history = json.loads(run("deploy", "list", "--json").stdout)
    assert history["served"] == 2
    assert [one["source"] for one in history["versions"]] == [first.uri, second.uri]
    assert history["versions"][1]["sha256"] == digest_folder(site.home / "2" / "checkpoint")
    assert (
        run("deploy", "rollback").stdout == f"{site.model} version 1 is served at {site.endpoint}\n"
    )
    assert site.ask(edit) == ("1", 0.25)


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (CHECKSUM_TAG, "has no tag 'sha256'"),
        (EVALUATION_TAG, "has no evaluation report (tag 'evaluation')"),
    ],
)
def test_a_model_of_which_nothing_is_known_is_refused(run, register, site, scripted, tag, reason):
    made = register(scripted("other"))
    remove_version_tags(made, [tag])
    result = run("deploy", "--model", made.uri, "--template", site.template)
    assert result.exit_code == 1
    assert f"error: {made.uri}: {reason}" in result.stderr
    assert not site.home.exists()


def test_a_model_that_is_not_what_was_evaluated_is_refused(run, register, site, scripted):
    made = register(scripted("evaluated"))
    # With a forged checksum alone the report is about another checkpoint.
    set_version_tags(made, {CHECKSUM_TAG: "ab" * 32})
    result = run("deploy", "--model", made.uri, "--template", site.template)
    assert f"error: {made.uri}: its evaluation report is about checkpoint" in result.stderr
    # A report from elsewhere about other files does not help either.
    set_version_tags(made, {EVALUATION_TAG: str(stored_report("ab" * 32, {}))})
    result = run("deploy", "--model", made.uri, "--template", site.template)
    assert result.exit_code == 1
    assert "expected sha256 abababab" in result.stderr
    assert not site.home.exists()


def test_a_cached_model_that_was_changed_is_refused(run, register, site, scripted, tmp_path):
    made = register(scripted("cached"))
    assert run("deploy", "--model", made.uri, "--template", tmp_path).exit_code == 1
    (cached,) = (tmp_path / "cache").iterdir()
    (cached / "script.json").write_text("{}")
    result = run("deploy", "--model", made.uri, "--template", site.template)
    assert f"{made.uri} in {cached}: expected sha256" in result.stderr
