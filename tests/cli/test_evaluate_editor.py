"""The tiny editor and folders of results on small benchmarks, from the command line."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from spatialreward.benchmarks.editors.gedit import GeditBench
from spatialreward.benchmarks.editors.imgedit import EDIT_TYPES, ImgEditBench
from spatialreward.cli.main import app
from spatialreward.protocol.importing import PublicJudge, import_protocol
from tests.benchmarks.editors.folders import request, write_gedit, write_imgedit, write_results
from tests.benchmarks.folders import FIXTURES
from tests.data.teacher.teacher_server import TeacherServer, says
from tests.protocol.public_checkouts import write_checkout

STEPS = ("--set", "sampling.num_denoising_steps=2")


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate-editor", *map(str, arguments)])


def told(done):
    """What went to standard error, on one line."""
    return " ".join(done.stderr.split())


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def gedit(tmp_path):
    rows = [
        request("a"),
        request("b", "ps_human"),
        request("c", "ps_human", shared=False),
        request("d", language="cn"),
    ]
    return write_gedit(tmp_path / "gedit", *rows)


@pytest.fixture
def results(gedit, tmp_path):
    """Pictures of another editor, of which one is missing."""
    bench = GeditBench.read(gedit)
    return write_results(bench, tmp_path / "results", without={"ps_human/en/c"})


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with TeacherServer().running() as server:
        yield server


def report_of(out, benchmark):
    report = json.loads((out / "report.json").read_text())
    [found] = [one for one in report["benchmarks"] if one["benchmark"] == benchmark]
    return found


def rows_by_name(result):
    return {row["name"]: row for row in result["metrics"]}


def test_an_editor_is_drawn_and_graded_beside_results_that_are_there(
    gedit, results, editor_folder, out
):
    asked = ("--judge", "pixels", "--benchmark", f"gedit={gedit}", *STEPS, "--out", out)
    editors = ("--editor", editor_folder, "--editor", f"results:{results}")
    done = run(*editors, *asked)
    assert done.exit_code == 0, done.stderr
    assert "2 steps at the editor's own times 0.000 0.500 1.000" in done.stdout
    assert f"results:{results} minus {editor_folder}, ours" in done.stdout
    assert "missing: 1, the first: ps_human/en/c: picture fullset/ps_human/en/c.png" in told(done)
    report = report_of(out, "gedit")
    base, other = report["editors"]
    assert (base["number"], len(base["editor"]["weights"]), base["num_edits"]) == (1, 64, 4)
    assert (other["sampler"], other["num_edits"]) == (None, 3)
    assert (base["sampler"]["settings"]["seed"], base["sampler"]["num_drawn"]) == (17, 4)
    assert base["sampler"]["seconds_an_edit"] > 0
    assert "s an edit on cpu, the median of 4" in done.stdout
    figures = rows_by_name(base)
    assert set(figures) >= {"overall_en", "overall_cn", "overall_en_intersection", "missing"}
    assert figures["overall_en/ps_human"]["num_rows"] == 2
    [comparison] = report["comparisons"]
    assert comparison["rows"][0]["num_prompts"] == 3
    for path in ("report.md", "plots/gedit.png", "plots/gedit-by-type.png"):
        assert (out / path).is_file()
    page = (out / "report.md").read_text()
    assert "### overall_en by task type, ours (reference rules)" in page
    assert "| ps_human | " in page
    assert "### Missing of results:" in page
    drawn = out / "gedit" / "editor-1" / "fullset" / "ps_human" / "en"
    assert sorted(path.name for path in drawn.iterdir()) == [
        *("b.png", "b_SRCIMG.png", "c.png", "c_SRCIMG.png")
    ]
    again = run(*editors, *asked)
    assert again.exit_code == 0, again.stderr
    assert [one["num_reused"] for one in report_of(out, "gedit")["editors"]] == [4, 3]


def test_the_report_is_logged_where_mlflow_is(client, gedit, editor_folder, out):
    asked = ("--judge", "pixels", "--benchmark", f"gedit={gedit}", *STEPS, "--out", out)
    done = run("--editor", editor_folder, *asked)
    assert done.exit_code == 0, done.stderr
    experiments = [one.experiment_id for one in client.search_experiments()]
    named = f"tags.editors = '{editor_folder}'"
    newest = client.search_runs(experiments, named, max_results=1)[0]
    metrics = newest.data.metrics
    reached = rows_by_name(report_of(out, "gedit")["editors"][0])["overall_en"]["ours"]
    assert metrics["gedit/editor-1/overall_en"] == pytest.approx(reached)
    assert metrics["gedit/editor-1/drawing_seconds_an_edit"] > 0
    assert newest.data.params["sampling.num_denoising_steps"] == "2"
    files = {one.path for one in client.list_artifacts(newest.info.run_id, "evaluation")}
    assert files == {f"evaluation/{one}" for one in ("report.json", "report.md", "plots")}


def test_an_editor_is_as_good_as_itself_and_a_language_may_be_left_out(
    gedit, editor_folder, tmp_path, out
):
    same = tmp_path / "same"
    same.symlink_to(editor_folder)
    editors = ("--editor", editor_folder, "--editor", same)
    asked = ("--benchmark", f"gedit={gedit}", "--language", "en", *STEPS, "--out", out)
    done = run(*editors, "--judge", "pixels", "--no-resize-to-source", *asked)
    assert done.exit_code == 0, done.stderr
    report = report_of(out, "gedit")
    assert (report["num_tasks"], report["resize_to_source"]) == (3, False)
    [comparison] = report["comparisons"]
    assert {row["difference"] for row in comparison["rows"]} == {0.0}
    assert {row["p_value"] for row in comparison["rows"]} == {1.0}


def test_the_oracle_knows_nothing_of_these_tasks_and_every_grade_is_told_as_failed(
    gedit, results, out
):
    done = run(
        *("--editor", f"results:{results}", "--judge", "oracle"),
        *("--benchmark", f"gedit={gedit}", "--out", out),
    )
    assert done.exit_code == 0, done.stderr
    [result] = report_of(out, "gedit")["editors"]
    assert result["failed"] == {"bad_input": 3}
    assert rows_by_name(result)["unreadable"]["ours"] == 0.75
    assert rows_by_name(result)["overall_en"]["reference"] is None


def test_viescores_prompts_grade_with_the_published_arithmetic(
    gedit, results, server, tmp_path, out
):
    import_protocol(write_checkout(tmp_path, PublicJudge.VIESCORE)).write(tmp_path)

    def plan(asked):
        if "change b" in asked.text:
            return says("I would say 7.")
        of_edit = len(asked.pictures) == 2
        return says({"score": [8, 9] if of_edit else [7, 6], "reasoning": "x"})

    server.plan = plan
    judge = f"openai:some/vl@{server.url}"
    done = run(
        *("--editor", f"results:{results}", "--judge", judge, "--benchmark", f"gedit={gedit}"),
        *("--protocol", tmp_path / "protocol.json", "--price", "2,10", "--out", out),
    )
    assert done.exit_code == 0, done.stderr
    [result] = report_of(out, "gedit")["editors"]
    figures = rows_by_name(result)
    overall = (8 * 6) ** 0.5
    assert figures["overall_en"]["reference"] == pytest.approx(overall)
    # Of the two tasks of ps_human one is missing, and one cannot be read.
    assert figures["overall_en"]["ours"] == pytest.approx(overall / 2)
    assert (result["num_asked_again"], result["failed"]) == (1, {"no_answer": 1})
    # Two edits, and one that is asked about three times: two questions each.
    assert result["cost"]["prompt_tokens"] == 10 * 1000
    assert result["cost"]["money"] == pytest.approx((10 * 1000 * 2 + 10 * 200 * 10) / 1e6)
    lines = (out / "gedit" / "grades" / "editor-1" / "rows.jsonl").read_text().splitlines()
    rows = map(json.loads, lines)
    [unread] = [row for row in rows if row["task"] == "ps_human/en/b"]
    assert [attempt[0] for attempt in unread["grade"]["answers"]] == ["I would say 7."] * 3


def test_imgedits_own_prompts_are_answered_with_three_numbers(server, tmp_path, out):
    folder = write_imgedit(tmp_path / "imgedit", {"1": "add", "2": "style"})
    bench = ImgEditBench.read(folder)
    results = write_results(bench, tmp_path / "results")
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({one: f"rate {one}: <edit_prompt>" for one in EDIT_TYPES}))
    server.plan = lambda asked: says(
        "Brief reasoning: x\na: 5\nb: 4\nc: 4" if "rate add" in asked.text else "a: 3\nb: 3\nc: 3"
    )
    asked = (
        *("--editor", f"results:{results}", "--benchmark", f"imgedit={folder}", "--out", out),
        *("--prompts", f"imgedit={prompts}"),
    )
    done = run(*asked, "--judge", f"openai:some/vl@{server.url}")
    assert done.exit_code == 0, done.stderr
    report = report_of(out, "imgedit")
    figures = rows_by_name(report["editors"][0])
    assert figures["score"]["reference"] == (4.33 + 3.0) / 2
    assert figures["score"]["ours"] == pytest.approx((13 / 3 + 3) / 2)
    assert report["resize_to_source"] is False
    assert report["grader"]["protocol"].startswith("imgedit@")
    refused = run(*asked, "--judge", "pixels")
    assert "grader prompts of imgedit: expected a judge behind an address" in told(refused)


def test_results_of_another_benchmark_are_named_and_the_rest_goes_on(gedit, results, tmp_path, out):
    folder = write_imgedit(tmp_path / "imgedit", {"1": "add"})
    done = run(
        *("--editor", f"results:{results}", "--judge", "pixels", "--out", out),
        *("--benchmark", f"gedit={gedit}", "--benchmark", f"imgedit={folder}"),
    )
    assert done.exit_code == 1
    assert f"missing: results:{results} on imgedit: {results}: holds no edited picture" in told(
        done
    )
    assert report_of(out, "gedit")["editors"][0]["num_edits"] == 3


def test_without_the_base_there_is_no_comparison(gedit, results, tmp_path, out):
    (tmp_path / "no-editor").mkdir()
    editors = ("--editor", tmp_path / "no-editor", "--editor", f"results:{results}")
    done = run(*editors, "--judge", "pixels", "--benchmark", f"gedit={gedit}", "--out", out)
    assert done.exit_code == 1
    assert "no-editor: no editor here, expected model_index.json" in told(done)
    report = report_of(out, "gedit")
    assert report["comparisons"] == []
    assert [one["number"] for one in report["editors"]] == [2]
    assert "(base)" not in (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"--editor": "nowhere"}, "--editor nowhere: there is no such folder; expected a folder"),
        ({"--editor": "results:nowhere"}, "--editor results:nowhere: there is no such folder"),
        ({"--judge": "nowhere"}, "judge nowhere: there is no such folder"),
        ({"--judge": "openai:m@nowhere"}, "judge openai:m@nowhere: expected openai:MODEL@"),
        ({"--benchmark": "gedit"}, "benchmark gedit: expected gedit=FOLDER"),
        ({"--benchmark": "gedit=nowhere"}, "nowhere: there is no such folder"),
        ({"--price": "cheap"}, "--price cheap: expected IN,OUT, what a million tokens cost"),
        ({"--prompts": "imgedit=nowhere"}, "nowhere: No such file"),
        ({"--set": "sampling.steps=1"}, "sampling.steps: no such key"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_is_drawn(
    gedit, results, out, changes, said
):
    usual = {
        "--editor": f"results:{results}",
        "--judge": "pixels",
        "--benchmark": f"gedit={gedit}",
        "--out": out,
    }
    options = (usual | changes).items()
    refused = run(*(word for option in options for word in option))
    assert refused.exit_code == 1
    assert said in told(refused)
    assert refused.stderr.count("\n") == 1
    assert not (out / "gedit").exists()


def test_an_editor_or_a_benchmark_is_named_once(gedit, results, out):
    editor, bench = ("--editor", f"results:{results}"), ("--benchmark", f"gedit={gedit}")
    for words, said in (
        ((*editor, *editor, *bench), f"editor results:{results}: is named twice"),
        ((*editor, *bench, *bench), "benchmark gedit: is named twice"),
    ):
        assert said in told(run(*words, "--judge", "pixels", "--out", out))


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs ../shared/data/benchmarks")
def test_the_published_layouts_in_small(out):
    gedit, imgedit = FIXTURES / "gedit_bench", FIXTURES / "imgedit_bench"
    cases = {
        f"gedit={gedit / 'arrow'}": gedit / "results" / "some-editor",
        f"imgedit={imgedit}": imgedit / "edited_images",
    }
    for named, results in cases.items():
        name = named.partition("=")[0]
        done = run(
            *("--editor", f"results:{results}", "--judge", "pixels"),
            *("--benchmark", named, "--out", out / name),
        )
        assert done.exit_code == 0, done.stderr
        [result] = report_of(out / name, name)["editors"]
        assert (result["missing"], result["failed"]) == ([], {})
        with Image.open(out / name / "plots" / f"{name}-by-type.png") as drawn:
            assert drawn.width > 500
