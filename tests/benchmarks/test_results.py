import pytest

from spatialreward.benchmarks.mer_bench import MerBench
from spatialreward.benchmarks.results import Measured, Price, Role, report_on
from spatialreward.benchmarks.rows import Cost
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
    return report_on(
        bench,
        [
            Measured(
                name,
                Role.JUDGE,
                judge_benchmark(bench, ScriptedJudge(script, name), tmp_path / name),
            )
            for name, script in scripts.items()
        ],
    )


def row_of(rows, name):
    [found] = [row for row in rows if row.name == name]
    return found


def test_each_judge_has_its_figures_under_both_rules(report):
    exact = [row_of(result.metrics, "exact") for result in report.judges]
    # To the reference the failed answer has 12.5, which is more than the other edit's 10.
    assert [(row.reference, row.ours) for row in exact] == [(1.0, 1.0), (0.0, 0.0), (1.0, 0.75)]
    assert [row.num_rows for row in exact] == [4, 4, 4]
    assert exact[2].interval[0] < 0.75 < exact[2].interval[1]


def test_failures_are_reported_by_reason(report):
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


def test_tokens_cost_what_the_price_says(tmp_path):
    bench = MerBench.read(write_mer(tmp_path, group("2pair_0", 2)))
    run = judge_benchmark(bench, ScriptedJudge(better_first), tmp_path / "run")
    spent = run._replace(
        cost=Cost(seconds=4, prompt_tokens=2_000_000, completion_tokens=500_000), num_asked=8
    )
    free, paid = (
        report_on(bench, [Measured("one", Role.JUDGE, spent, price)]).judges[0].cost
        for price in (None, Price(2.5, 10))
    )
    assert (free.judgements_per_s, free.prompt_tokens, free.money) == (2.0, 2_000_000, None)
    assert paid.money == 10.0


def test_a_judge_that_counts_no_tokens_has_none(report):
    [cost, *_] = [result.cost for result in report.judges]
    assert (cost.prompt_tokens, cost.completion_tokens, cost.money) == (None, None, None)
    assert cost.seconds > 0
