import pytest

from spatialreward.benchmarks.mer_bench import MerBench
from spatialreward.benchmarks.results import BenchmarkReport, as_markdown, report_on, write_report
from spatialreward.benchmarks.run import judge_benchmark
from spatialreward.errors import Failure
from tests.benchmarks.folders import ScriptedJudge, failed, group, judged, write_mer


def better_first(edit):
    return judged(20 if edit.id.endswith("/0") else 10)


def worse_first(edit):
    return judged(10 if edit.id.endswith("/0") else 20)


def sometimes(edit):
    return failed(Failure.CUT_OFF) if edit.id == "2pair_0/0" else better_first(edit)


@pytest.fixture
def report(tmp_path):
    """Of three judges: right, wrong, and one that fails once."""
    rows = [*(group(f"2pair_{number}", 2) for number in range(4)), group("2pair_4", 1)]
    bench = MerBench.read(write_mer(tmp_path, *rows))
    scripts = {"right": better_first, "wrong": worse_first, "failing": sometimes}
    runs = [
        judge_benchmark(bench, ScriptedJudge(script, name), tmp_path / name)
        for name, script in scripts.items()
    ]
    return report_on(bench, runs)


def row_of(rows, name):
    [found] = [row for row in rows if row.name == name]
    return found


def test_each_judge_has_its_figures_under_both_rules(report):
    exact = [row_of(result.metrics, "exact") for result in report.judges]
    # To the reference the failed answer has 12.5, which is more than the other edit's 10.
    assert [(row.reference, row.ours) for row in exact] == [(1.0, 1.0), (0.0, 0.0), (1.0, 0.75)]
    assert [row.num_rows for row in exact] == [4, 4, 4]
    assert exact[2].interval[0] < 0.75 < exact[2].interval[1]


def test_failures_are_told_by_reason(report):
    assert [result.failed for result in report.judges] == [{}, {}, {Failure.CUT_OFF: 1}]
    assert [result.num_edits for result in report.judges] == [8, 8, 8]


def test_each_further_judge_is_compared_with_the_first(report):
    wrong, failing = report.comparisons
    assert (wrong.first, wrong.second) == ("right/1", "wrong/1")
    exact = row_of(wrong.rows, "exact")
    assert (exact.difference, exact.num_prompts, exact.p_value) == (-1.0, 4, 2 / 16)
    assert row_of(failing.rows, "exact").difference == -0.25


def test_what_was_left_out_is_counted_and_named(report):
    [(where, reason)] = report.left_out
    assert where == "2pair-00000-of-00001.parquet row 4"
    assert "expected 2 to 4 edited pictures, got 1" in reason
    assert (report.num_items, report.num_prompts) == (4, 4)


def test_the_page_has_both_rules_side_by_side(report):
    page = as_markdown(report)
    assert "| figure | reference rules | ours | 95 % interval | rows |" in page
    assert "| exact | 1.000 | 0.750 | " in page
    assert "no judgement of 1 of 8 edits: cut_off 1" in page
    assert "## wrong/1 minus right/1, ours" in page
    assert "| exact | -1.000 | -1.000 .. -1.000 | 0.1250 | 4 |" in page
    assert "## Left out: 1" in page


def test_what_is_written_can_be_read(report, tmp_path):
    write_report(report, tmp_path)
    told = (tmp_path / "report.json").read_text()
    assert BenchmarkReport.model_validate_json(told) == report
    assert (tmp_path / "report.md").read_text() == as_markdown(report)
