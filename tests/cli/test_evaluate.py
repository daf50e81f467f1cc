import json
import shutil

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.data.dataset import DatasetRef
from spatialreward.data.edits import RowOrigin
from spatialreward.data.packing.shards import write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.registered import evaluate_version
from spatialreward.ops.registry import (
    EVALUATION_TAG,
    bring,
    look_up,
    model_tags,
    set_alias,
)
from spatialreward.ops.registry import report_of as report_of_found
from spatialreward.protocol.prompts import PROTOCOL_FILE, TINY
from spatialreward.storage import ObjectStore
from spatialreward.world.building import labelled_edit
from tests.evaluated import register_unevaluated


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def folder(known_samples, tmp_path):
    """The edits that the test judge knows."""
    folder = tmp_path / "heldout"
    folder.mkdir()
    origin = RowOrigin(file="test", row="")
    write_shard(
        folder / "edits.parquet", (labelled_edit(sample, origin) for sample in known_samples)
    )
    return folder


@pytest.fixture
def heldout(client, folder):
    """The reference of the same in the object store."""
    store = ObjectStore.from_environment()
    store.ensure_bucket("spatialreward")
    return store.put_folder(folder, "s3://spatialreward/artifacts/test")


def report_of(model):
    return report_of_found(look_up(model.uri))


def figures_of(*arguments):
    """What is measured without a report."""
    done = run("evaluate", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["report"] is None
    return told["figures"]


def test_any_judge_is_measured_on_a_folder(folder, judge_folder):
    on = ("--heldout", folder)
    known, pixels = figures_of("--model", judge_folder, *on), figures_of("--model", "pixels", *on)
    assert known["num_edits"] == pixels["num_edits"] == 4
    # It knows these edits by heart.
    assert known["pairwise_accuracy"] == 1.0 > pixels["pairwise_accuracy"]
    assert pixels["unparsable_share"] == 0.0


def test_the_protocol_that_is_named_is_followed_and_failures_are_told_by_reason(
    folder, judge_folder, tmp_path
):
    without = tmp_path / "without"
    shutil.copytree(judge_folder, without)
    short = TINY.model_copy(update={"max_answer_tokens": 9})
    (without / PROTOCOL_FILE).unlink()
    (tmp_path / "short.json").write_text(short.model_dump_json())
    asked = ("--model", without, "--heldout", folder, "--protocol")
    assert figures_of(*asked, "tiny")["unparsable_share"] == 0.0
    assert figures_of(*asked, tmp_path / "short.json")["failed_share/cut_off"] == 1.0
    shown = run("evaluate", *asked, tmp_path / "short.json")
    [line] = [line for line in shown.stdout.splitlines() if "cut_off" in line]
    assert line.split()[::2] == ["failed_share/cut_off", "1.0000"]


def test_a_judge_that_is_in_no_registry_is_told_to_need_edits(judge_folder):
    result = run("evaluate", "--model", judge_folder)
    assert result.exit_code == 1
    assert "--heldout missing: expected the edits to measure" in " ".join(result.stderr.split())


def test_a_registered_judge_on_a_folder_is_measured_without_a_report(client, folder, judge_folder):
    made = register_unevaluated("on-disk", judge_folder)
    result = run("evaluate", "--model", made.uri, "--heldout", folder)
    assert result.exit_code == 0, result.stderr
    assert "note: no report is stored:" in result.stderr
    assert "has no checksum to name the edits by" in result.stderr
    assert EVALUATION_TAG not in model_tags(made.uri)
    with pytest.raises(InvalidInputError, match="names its edits by checksum; expected s3://"):
        evaluate_version(made.uri, DatasetRef.parse(str(folder)))


def test_a_registered_judge_that_is_asked_otherwise_gets_no_report(heldout, judge_folder):
    made = register_unevaluated("otherwise", judge_folder)
    result = run(
        "evaluate", "--model", made.uri, "--heldout", heldout, "--protocol", "tiny", "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["report"] is None
    assert "--protocol makes another judge of models:/otherwise/1" in result.stderr
    assert EVALUATION_TAG not in model_tags(made.uri)


def test_a_version_that_was_registered_by_hand_is_evaluated_and_promoted(heldout, judge_folder):
    first, second = (register_unevaluated("by-hand", judge_folder) for _ in range(2))
    promoting = ("promote", "judge", "--name", "by-hand", "--yes", "--version")
    assert "has no evaluation report" in " ".join(run(*promoting, 1).stderr.split())
    nowhere = run("evaluate", "--model", first.uri)
    said = "by-hand: on which held-out edits? no version is champion; pass --heldout"
    assert said in " ".join(nowhere.stderr.split())
    done = run("evaluate", "--model", first.uri, "--heldout", heldout)
    assert done.exit_code == 0, done.stderr
    report = report_of(first)
    assert report.checkpoint_sha256 == digest_folder(judge_folder)
    assert report.inputs == {"heldout": str(heldout)}
    assert report.protocol.startswith(f"{TINY.name}#sha256=")
    [line] = [line for line in done.stdout.splitlines() if line.startswith("mean_iou")]
    assert line.split()[-1] == f"{report.figures['mean_iou']:.4f}"
    assert f"report: {model_tags(first.uri)[EVALUATION_TAG]}" in done.stdout
    assert model_tags(first.uri)["mean_iou"] == str(report.figures["mean_iou"])
    # It knows these edits by heart.
    assert report.figures["pairwise_accuracy"] > 0.9
    assert run(*promoting, 1).exit_code == 0
    # The next one is measured on the edits that the champion was measured on.
    assert run("evaluate", "--model", second.uri).exit_code == 0
    assert report_of(second) == report


def test_files_other_than_those_that_were_registered_are_not_evaluated(heldout, judge_folder):
    made = register_unevaluated("changed", judge_folder)
    found = look_up(made.uri)
    (bring(found) / "card.json").write_text("{}")
    result = run("evaluate", "--model", made.uri, "--heldout", heldout)
    assert result.exit_code == 1
    assert f"expected sha256 {found.artifact.sha256}, got" in " ".join(result.stderr.split())
    assert EVALUATION_TAG not in model_tags(made.uri)


def test_a_champion_whose_report_is_not_believed_gives_no_edits(client, judge_folder):
    made = register_unevaluated("doubtful", judge_folder)
    set_alias(made, "champion")
    result = run("evaluate", "--model", made.uri)
    assert "models:/doubtful/1: has no evaluation report" in " ".join(result.stderr.split())
