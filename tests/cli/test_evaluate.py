import json
import shutil

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.data.edits import RowOrigin
from spatialreward.data.packing.shards import write_shard
from spatialreward.folder_manifest import digest_folder
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
from spatialreward.world.shipped import SHIPPED_BASE, SHIPPED_ORIGIN
from tests.benchmarks.folders import (
    FIXTURES,
    built_pair,
    group,
    pair,
    write_built,
    write_editreward,
    write_mer,
)
from tests.data.teacher.teacher_server import TeacherServer, says
from tests.evaluated import register_unevaluated


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def told(result):
    """What went to standard error, on one line."""
    return " ".join(result.stderr.split())


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


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


@pytest.fixture
def mer(tmp_path):
    return write_mer(
        tmp_path / "mer", group("2pair_0", 2), group("3pair_0", 3), group("2pair_1", 1)
    )


def report_of(model):
    return report_of_found(look_up(model.uri))


def judges_in(out, benchmark):
    """What the report says of each judge on a benchmark, by its name."""
    report = json.loads((out / "report.json").read_text())
    [found] = [one for one in report["benchmarks"] if one["benchmark"] == benchmark]
    return {one["name"]: one for one in found["judges"]}


def figures_of(result):
    return {row["name"]: row["reference"] for row in result["metrics"]}


def test_a_judge_is_measured_beside_pixels_on_labelled_edits(folder, judge_folder, out):
    done = run("--judge", judge_folder, "--benchmark", f"world={folder}", "--out", out)
    assert done.exit_code == 0, done.stderr
    judges = judges_in(out, "world")
    assert [one["role"] for one in judges.values()] == ["judge", "baseline"]
    known, pixels = map(figures_of, judges.values())
    assert known["num_edits"] == pixels["num_edits"] == 4
    # It knows these edits by heart.
    assert known["pairwise_accuracy"] == 1.0 > pixels["pairwise_accuracy"]
    assert pixels["unparsable_share"] == 0.0
    assert (out / "report.md").is_file()
    assert (out / "plots" / "world.png").is_file()


def test_several_judges_on_several_benchmarks(mer, tmp_path, out):
    write_editreward(tmp_path / "erb", pair("ab", "overall"), pair("ac", "consistency"))
    write_built(tmp_path / "mmrb2", built_pair("p", "A", sources=3))
    places = {"mer-bench": mer, "editreward-bench": tmp_path / "erb", "mmrb2": tmp_path / "mmrb2"}
    named = [part for name, place in places.items() for part in ("--benchmark", f"{name}={place}")]
    done = run("--judge", "pixels", "--judge", "oracle", *named, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "MER-Bench (MultiEditReward-Bench): 2 rows of 2 prompts" in done.stdout
    assert "oracle/1, geometric: no judgement of 5 of 5 edits: bad_input 5" in done.stdout
    assert "oracle/1, geometric minus pixels/1, geometric, ours" in done.stdout
    assert "overall_min" in done.stdout
    assert "accuracy_official" in done.stdout
    assert "left out: 1, the first: 2pair-00000-of-00001.parquet row 1" in done.stderr
    for number in (1, 2):
        rows = out / f"judge-{number}" / "mer-bench" / "rows.jsonl"
        assert len(rows.read_text().splitlines()) == 5


def test_the_published_layouts_in_small(out):
    if not FIXTURES.is_dir():
        pytest.skip(f"no fixtures in {FIXTURES}")
    names = {
        "mer-bench": "mer_bench",
        "editreward-bench": "editreward_bench/arrow",
        "mmrb2": "mmrb2/hub",
    }
    there = {name: FIXTURES / place for name, place in names.items() if (FIXTURES / place).is_dir()}
    named = [part for name, place in there.items() for part in ("--benchmark", f"{name}={place}")]
    done = run("--judge", "pixels", *named, "--out", out)
    assert done.exit_code == 0, done.stderr
    report = json.loads((out / "report.json").read_text())
    assert [one["benchmark"] for one in report["benchmarks"]] == list(there)


def test_a_folder_of_another_judge_or_benchmark_is_named_and_the_rest_goes_on(mer, out, folder):
    assert run("--judge", "pixels", "--benchmark", f"mer-bench={mer}", "--out", out).exit_code == 0
    both = ("--benchmark", f"mer-bench={mer}", "--benchmark", f"world={folder}", "--out", out)
    other = run("--judge", "oracle", *both)
    assert other.exit_code == 1
    assert "missing: oracle on mer-bench: " in told(other)
    assert "began with pixels/1, geometric, this one has oracle" in told(other)
    assert figures_of(judges_in(out, "world")["oracle"])["mean_iou"] == 1.0
    again = run("--judge", "pixels", "--benchmark", f"mer-bench={mer}", "--out", out)
    assert again.exit_code == 0
    assert judges_in(out, "mer-bench")["pixels"]["num_reused"] == 5
    (mer / "data" / "3pair-00000-of-00001.parquet").unlink()
    smaller = run("--judge", "pixels", "--benchmark", f"mer-bench={mer}", "--out", out)
    assert "digest: the run here began with" in told(smaller)


def test_a_benchmark_that_cannot_be_read_is_named_and_the_rest_goes_on(mer, tmp_path, out):
    asked = ("--judge", "pixels", "--benchmark", f"mmrb2={tmp_path}")
    done = run(*asked, "--benchmark", f"mer-bench={mer}", "--out", out)
    assert done.exit_code == 1
    assert "missing: mmrb2: " in told(done)
    assert list(judges_in(out, "mer-bench")) == ["pixels"]
    alone = run(*asked, "--out", tmp_path / "alone")
    assert "expected edit/test-*.parquet or test-*.parquet or edit.json in it" in told(alone)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("--benchmark", "mer"),
            "benchmark 'mer': expected one of mer-bench, editreward-bench, tiger-",
        ),
        (("--benchmark", "mmrb2"), "benchmark mmrb2: expected mmrb2=FOLDER"),
        (("--benchmark", "world", "--benchmark", "world"), "benchmark world: is named twice"),
        (("--benchmark", "world", "--price", "pixels=free"), "--price pixels=free: expected"),
        ((), "--benchmark missing: expected what to measure pixels on"),
    ],
)
def test_what_cannot_be_measured_is_told(asked, said, out):
    refused = run("--judge", "pixels", *asked, "--out", out)
    assert refused.exit_code == 1
    assert said in told(refused)


def test_the_base_of_a_judges_card_stands_beside_it(folder, judge_folder, tmp_path, out):
    trained = tmp_path / "trained"
    shutil.copytree(judge_folder, trained)
    (trained / "card.json").write_text(json.dumps({"trained_from": SHIPPED_ORIGIN}))
    asked = ("--benchmark", f"world={folder}", "--out", out)
    assert run("--judge", trained, *asked).exit_code == 0
    roles = {one["role"]: one for one in judges_in(out, "world").values()}
    assert set(roles) == {"judge", "base", "baseline"}
    assert roles["base"]["name"] == SHIPPED_ORIGIN
    assert roles["base"]["judge"]["name"] == SHIPPED_BASE.name


def test_a_base_that_is_not_here_is_named_and_costs_nothing_else(folder, judge_folder, out):
    asked = ("--benchmark", f"world={folder}", "--base", "/nowhere", "--out", out)
    done = run("--judge", judge_folder, *asked)
    assert done.exit_code == 0, done.stderr
    assert "missing: /nowhere: as a base: judge /nowhere: there is no such folder" in told(done)


def test_the_protocol_that_is_named_is_followed_and_failures_are_told_by_reason(
    folder, judge_folder, tmp_path
):
    without = tmp_path / "without"
    shutil.copytree(judge_folder, without)
    short = TINY.model_copy(update={"max_answer_tokens": 9})
    (without / PROTOCOL_FILE).unlink()
    (tmp_path / "short.json").write_text(short.model_dump_json())
    asked = ("--judge", without, "--benchmark", f"world={folder}", "--protocol")
    for protocol, failed in (("tiny", {}), (tmp_path / "short.json", {"cut_off": 4})):
        out = tmp_path / f"out-{len(failed)}"
        assert run(*asked, protocol, "--out", out).exit_code == 0
        assert judges_in(out, "world")[str(without)]["failed"] == failed


def test_tokens_of_a_judge_behind_an_address_are_counted_and_paid(mer, out, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with TeacherServer().running() as server:
        # It answers nonsense, which costs all the same.
        server.plan = lambda asked: says(
            "no idea", usage={"prompt_tokens": 1000, "completion_tokens": 10}
        )
        name = f"openai:some/vl@{server.url}"
        asked = ("--judge", name, "--benchmark", f"mer-bench={mer}", "--price", f"{name}=2,10")
        done = run(*asked, "--out", out)
    assert done.exit_code == 0, done.stderr
    judge = judges_in(out, "mer-bench")[name]
    assert judge["failed"] == {"no_answer": 5}
    assert judge["cost"]["prompt_tokens"] == 5 * 2 * 1000
    assert judge["cost"]["money"] == pytest.approx((10_000 * 2 + 100 * 10) / 1e6)


def test_the_report_is_logged_where_mlflow_is(client, mer, out):
    done = run("--judge", "pixels", "--benchmark", f"mer-bench={mer}", "--out", out)
    assert done.exit_code == 0, done.stderr
    experiments = [one.experiment_id for one in client.search_experiments()]
    newest = client.search_runs(experiments, "tags.judges = 'pixels'", max_results=1)[0]
    assert newest.data.metrics["mer-bench/pixels/exact"] >= 0
    files = {one.path for one in client.list_artifacts(newest.info.run_id, "evaluation")}
    assert {"evaluation/report.json", "evaluation/report.md", "evaluation/plots"} <= files


def test_a_registered_judge_on_a_folder_is_measured_without_a_report(
    client, folder, judge_folder, out
):
    made = register_unevaluated("on-disk", judge_folder)
    result = run("--model", made.uri, "--benchmark", f"world={folder}", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "note: no report is stored:" in result.stderr
    assert "has no checksum to name the edits by" in result.stderr
    assert EVALUATION_TAG not in model_tags(made.uri)


def test_a_registered_judge_that_is_asked_otherwise_gets_no_report(heldout, judge_folder, out):
    made = register_unevaluated("otherwise", judge_folder)
    asked = ("--benchmark", f"world={heldout}", "--protocol", "tiny", "--out", out)
    result = run("--model", made.uri, *asked)
    assert result.exit_code == 0, result.stderr
    assert "--protocol makes another judge of models:/otherwise/1" in told(result)
    assert EVALUATION_TAG not in model_tags(made.uri)


def test_a_version_that_was_registered_by_hand_is_evaluated_and_promoted(
    heldout, judge_folder, mer, tmp_path
):
    first, second = (register_unevaluated("by-hand", judge_folder) for _ in range(2))

    def promote(version):
        asked = ["promote", "judge", "--name", "by-hand", "--yes", "--version", str(version)]
        return CliRunner().invoke(app, asked)

    assert "has no evaluation report" in told(promote(1))
    nowhere = run("--judge", first.uri, "--out", tmp_path / "nowhere")
    said = "by-hand: on which held-out edits? no version is champion; pass --benchmark world="
    assert said in told(nowhere)
    on = ("--benchmark", f"world={heldout}", "--benchmark", f"mer-bench={mer}")
    done = run("--judge", first.uri, *on, "--out", tmp_path / "first")
    assert done.exit_code == 0, done.stderr
    report = report_of(first)
    assert report.checkpoint_sha256 == digest_folder(judge_folder)
    assert report.inputs == {"heldout": str(heldout)}
    assert report.protocol.startswith(f"{TINY.name}#sha256=")
    assert [one.benchmark for one in report.benchmarks] == ["world", "mer-bench"]
    assert f"report of {first.uri}: {model_tags(first.uri)[EVALUATION_TAG]}" in done.stdout
    assert model_tags(first.uri)["mean_iou"] == str(report.figures["mean_iou"])
    # It knows these edits by heart. It failed on none of the others, so it may be the first.
    assert report.figures["pairwise_accuracy"] > 0.9
    assert promote(1).exit_code == 0, promote(1).stderr
    # The next one is measured on the edits that the champion was measured on.
    assert run("--judge", second.uri, "--out", tmp_path / "second").exit_code == 0
    assert report_of(second).figures == report.figures
    refused = promote(2)
    assert refused.exit_code == 1
    assert "world: pairwise_accuracy is +0.0000 beside the champion's" in told(refused)
    assert "mer-bench: the candidate was not measured on it" in told(refused)


def test_files_other_than_those_that_were_registered_are_not_evaluated(heldout, judge_folder, out):
    made = register_unevaluated("changed", judge_folder)
    found = look_up(made.uri)
    (bring(found) / "card.json").write_text("{}")
    result = run("--judge", made.uri, "--benchmark", f"world={heldout}", "--out", out)
    assert result.exit_code == 1
    assert f"expected sha256 {found.artifact.sha256}, got" in told(result)
    assert EVALUATION_TAG not in model_tags(made.uri)


def test_a_champion_whose_report_is_not_believed_gives_no_edits(client, judge_folder, out):
    made = register_unevaluated("doubtful", judge_folder)
    set_alias(made, "champion")
    result = run("--judge", made.uri, "--out", out)
    assert "models:/doubtful/1: has no evaluation report" in told(result)
