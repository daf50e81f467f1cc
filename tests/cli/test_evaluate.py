import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.data.edits import RowOrigin
from spatialreward.data.packing.shards import write_shard
from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.registry import (
    CHECKSUM_TAG,
    EVALUATION_TAG,
    look_up,
    model_tags,
    register_model,
    set_alias,
    set_version_tags,
)
from spatialreward.ops.registry import report_of as report_of_found
from spatialreward.ops.tracking import open_run
from spatialreward.protocol.prompts import TINY
from spatialreward.storage import ObjectStore
from spatialreward.world.building import labelled_edit


@pytest.fixture
def run(client):
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def heldout(client, known_samples, tmp_path):
    """The reference of the edits that the test judge knows."""
    (tmp_path / "heldout").mkdir()
    origin = RowOrigin(file="test", row="")
    edits = (labelled_edit(sample, origin) for sample in known_samples)
    write_shard(tmp_path / "heldout" / "edits.parquet", edits)
    store = ObjectStore.from_environment()
    store.ensure_bucket("spatialreward")
    return store.put_folder(tmp_path / "heldout", "s3://spatialreward/artifacts/test")


def register_by_hand(name, folder):
    with open_run("by hand") as tracker:
        return register_model(name, folder, tracker.run_id)


def report_of(model):
    return report_of_found(look_up(model.uri))


def test_a_version_that_was_registered_by_hand_is_evaluated_and_promoted(
    run, heldout, judge_folder
):
    first, second = (register_by_hand("by-hand", judge_folder) for _ in range(2))
    promoting = ("promote", "judge", "--name", "by-hand", "--yes", "--version")
    assert "has no evaluation report" in " ".join(run(*promoting, 1).stderr.split())
    nowhere = run("evaluate", "--name", "by-hand", "--version", 1)
    said = "by-hand: on which held-out edits? no version is champion; pass --heldout"
    assert said in " ".join(nowhere.stderr.split())
    done = run("evaluate", "--name", "by-hand", "--version", 1, "--heldout", heldout)
    assert done.exit_code == 0, done.stderr
    report = report_of(first)
    assert report.checkpoint_sha256 == digest_folder(judge_folder)
    assert report.inputs == {"heldout": str(heldout)}
    assert report.protocol.startswith(f"{TINY.name}#sha256=")
    assert f"mean_iou {report.figures['mean_iou']:.4f}" in done.stdout
    assert model_tags(first.uri)["mean_iou"] == str(report.figures["mean_iou"])
    # It knows these edits by heart.
    assert report.figures["pairwise_accuracy"] > 0.9
    assert run(*promoting, 1).exit_code == 0
    # The next one is measured on the edits that the champion was measured on.
    assert run("evaluate", "--name", "by-hand", "--version", 2).exit_code == 0
    assert report_of(second) == report


def test_files_other_than_those_that_were_registered_are_not_evaluated(run, heldout, judge_folder):
    made = register_by_hand("changed", judge_folder)
    set_version_tags(made, {CHECKSUM_TAG: "ab" * 32})
    result = run("evaluate", "--name", "changed", "--version", 1, "--heldout", heldout)
    assert result.exit_code == 1
    assert "expected sha256 abababab" in result.stderr
    assert EVALUATION_TAG not in model_tags(made.uri)


def test_a_champion_whose_report_is_not_believed_gives_no_edits(run, judge_folder):
    made = register_by_hand("doubtful", judge_folder)
    set_alias(made, "champion")
    result = run("evaluate", "--name", "doubtful", "--version", 1)
    assert "models:/doubtful/1: has no evaluation report" in " ".join(result.stderr.split())
