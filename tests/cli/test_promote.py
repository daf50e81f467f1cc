import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.ops.registry import (
    CHAMPION,
    EVALUATION_TAG,
    PREVIOUS,
    aliases_of,
    model_tags,
    remove_version_tags,
    set_version_tags,
)
from tests.evaluated import register_evaluated


@pytest.fixture
def run(client, monkeypatch):
    monkeypatch.setenv("SPATIALREWARD_USER", "ann")
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def register(client, tmp_path):
    def register(name, **figures):
        folder = tmp_path / "checkpoint"
        folder.mkdir(exist_ok=True)
        (folder / "weights.bin").write_bytes(b"weights")
        return register_evaluated(name, folder, **figures)

    return register


def words(text):
    return [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]


def test_a_judge_is_promoted_and_demoted_with_a_table_to_look_at(run, register):
    register("spatial-reward")
    register("spatial-reward", mean_iou=0.8)
    for version in (1, 2):
        result = run("promote", "judge", "--version", version, "--yes", "--reason", "hands")
        assert result.exit_code == 0, result.stderr
    lines = words(result.stdout)
    assert "mean_iou 0.7000 0.8000 +0.1000 at least 0.65 yes" in lines
    [beside] = [line for line in lines if line.startswith("world pairwise_accuracy +")]
    assert beside.endswith("yes")
    assert lines[-1] == "models:/spatial-reward/2 is the champion, before: models:/spatial-reward/1"
    assert model_tags("models:/spatial-reward/2")["promoted_by"] == "ann"
    again = run("promote", "judge", "--version", 2, "--yes")
    assert words(again.stdout)[-1] == "models:/spatial-reward/2 is the champion already"
    # No question is asked where there is no terminal, and nothing is done.
    refused = run("demote", "judge")
    assert refused.exit_code == 1
    assert "answer with --yes" in refused.stderr
    done = run("demote", "judge", "--yes", "--reason", "slow")
    assert done.stdout.startswith("models:/spatial-reward/1 is the champion again, after")
    assert {alias: one.version for alias, one in aliases_of("spatial-reward").items()} == {
        CHAMPION: 1
    }
    for no_reason in ("", " "):
        refused = run("promote", "judge", "--version", 2, "--yes", "--reason", no_reason)
        assert "stepped down (slow, " in " ".join(refused.stderr.split())
    back = run("promote", "judge", "--version", 2, "--yes", "--reason", "fast now")
    assert back.exit_code == 0, back.stderr


def test_who_is_no_better_than_the_champion_is_shown_and_not_promoted(run, register):
    for _ in range(2):
        register("no-better")
    assert run("promote", "judge", "--name", "no-better", "--version", 2, "--yes").exit_code == 0
    result = run("promote", "judge", "--name", "no-better", "--version", 1, "--yes")
    assert result.exit_code == 1
    assert "no: world: pairwise_accuracy is -0.0001" in " ".join(words(result.stdout))
    assert "worse beyond noise" in " ".join(result.stderr.split())
    assert aliases_of("no-better")[CHAMPION].version == 2


def test_what_falls_short_is_shown_and_not_promoted(run, register, tmp_path):
    register("strict", mean_iou=0.6)
    where = ("promote", "judge", "--name", "strict", "--version", 1, "--yes")
    result = run(*where)
    assert result.exit_code == 1
    assert "mean_iou 0.6000 at least 0.65 no" in words(result.stdout)
    assert "mean_iou is 0.6000, 0.0500 below the least allowed 0.65" in result.stderr
    assert aliases_of("strict") == {}
    gate = tmp_path / "gate.toml"
    gate.write_text("min_mean_iou = 0.5\n")
    assert run(*where, "--gate", gate).exit_code == 0
    assert set(aliases_of("strict")) == {CHAMPION}
    gate.write_text("min_mean = 0.5\n")
    assert f"{gate}: min_mean: " in run(*where, "--gate", gate).stderr


def test_figures_are_believed_of_a_report_alone(run, register):
    version = register("tagged", mean_iou=0.3)
    where = ("promote", "judge", "--name", "tagged", "--version", 1, "--yes")
    set_version_tags(version, {"mean_iou": "0.99"})
    result = run(*where)
    assert "mean_iou is 0.3000, 0.3500 below the least allowed 0.65" in result.stderr
    remove_version_tags(version, [EVALUATION_TAG])
    result = run(*where)
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert said.startswith("error: models:/tagged/1: has no evaluation report (tag 'evaluation')")
    assert "`spatialreward evaluate`" in said
    assert aliases_of("tagged") == {}


def test_an_editor_is_promoted_when_its_gain_is_no_chance(run, register):
    register("spatial-editor", gain_ci95_low=0.01)
    assert run("promote", "editor", "--version", 1, "--yes").exit_code == 0
    register("spatial-editor", gain_ci95_low=-0.01)
    result = run("promote", "editor", "--version", 2, "--yes")
    assert "gain_ci95_low is -0.0100, not above 0" in result.stderr
    assert PREVIOUS not in aliases_of("spatial-editor")


def test_a_version_that_is_not_there_is_named(run, register):
    register("there")
    result = run("promote", "judge", "--name", "there", "--version", 9, "--yes")
    assert result.exit_code == 1
    assert "models:/there/9: " in result.stderr


@pytest.mark.parametrize("command", ["promote", "demote"])
def test_help_says_how_promotion_and_serving_go_together(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    told = " ".join(CliRunner().invoke(app, [command, "--help"]).output.split())
    assert "deployer" in told
