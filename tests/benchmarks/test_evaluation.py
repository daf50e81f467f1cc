import pytest

from spatialreward.benchmarks.evaluation import (
    Contestant,
    Evaluation,
    evaluate_judges,
    evidence_of,
)
from spatialreward.benchmarks.mer_bench import MerBench
from spatialreward.benchmarks.page import as_markdown, write_report
from spatialreward.benchmarks.results import Role
from spatialreward.errors import InvalidInputError
from tests.benchmarks.folders import ScriptedJudge, group, judged, write_mer


@pytest.fixture
def benches(tmp_path):
    """Two benchmarks of the same kind under two names."""
    rows = [group(f"2pair_{number}", 2) for number in range(4)]
    first = MerBench.read(write_mer(tmp_path / "first", *rows, group("2pair_4", 1)))
    second = MerBench.read(write_mer(tmp_path / "second", *rows[:2]))
    return [first, second._replace(name="other", title="Another")]


def contestant(name, script=None, **more):
    return Contestant(name, lambda: ScriptedJudge(script or better_first, name), **more)


def better_first(edit):
    return judged(20 if edit.id.endswith("/0") else 10)


def no_such_judge():
    raise InvalidInputError("judge nowhere: there is no such folder")


def breaking(num_answers):
    """A judge whose server goes away."""
    asked = []

    def answer(edit):
        asked.append(edit)
        if len(asked) > num_answers:
            raise InvalidInputError("the server wants a key")
        return better_first(edit)

    return answer


def test_each_judge_is_measured_on_each_benchmark(benches, tmp_path):
    found = evaluate_judges(benches, [contestant("one"), contestant("two")], tmp_path / "out")
    assert [one.benchmark for one in found.report.benchmarks] == ["mer-bench", "other"]
    assert [one.name for one in found.report.benchmarks[1].judges] == ["one", "two"]
    assert found.report.missing == ()
    assert (tmp_path / "out" / "judge-2" / "other" / "rows.jsonl").is_file()


def test_a_judge_that_cannot_be_loaded_does_not_lose_the_others(benches, tmp_path):
    judges = [Contestant("nowhere", no_such_judge), contestant("two")]
    report = evaluate_judges(benches, judges, tmp_path / "out").report
    assert [one.name for one in report.benchmarks[0].judges] == ["two"]
    [missing] = report.missing
    assert (missing.judge, missing.benchmark) == ("nowhere", "")
    assert "there is no such folder" in missing.reason


def test_a_judge_that_breaks_on_one_benchmark_is_named_and_keeps_its_rows(benches, tmp_path):
    out = tmp_path / "out"
    judges = [contestant("one"), contestant("two", breaking(8))]
    report = evaluate_judges(benches, judges, out).report
    assert [len(one.judges) for one in report.benchmarks] == [2, 1]
    [missing] = report.missing
    assert (missing.judge, missing.benchmark) == ("two", "other")
    again = evaluate_judges(benches, [contestant("one"), contestant("two")], out)
    assert again.report.missing == ()
    assert again.runs["two", "mer-bench"].num_reused == 8


def test_a_folder_of_another_judge_is_named_and_the_rest_goes_on(benches, tmp_path):
    out = tmp_path / "out"
    evaluate_judges(benches[:1], [contestant("one")], out)
    report = evaluate_judges(benches, [contestant("two")], out).report
    assert [one.benchmark for one in report.benchmarks] == ["other"]
    assert "the run here began with one/1, this one has two/1" in report.missing[0].reason


def test_without_any_result_there_is_no_report(benches, tmp_path):
    with pytest.raises(InvalidInputError, match="nothing was measured: nowhere: judge nowhere"):
        evaluate_judges(benches, [Contestant("nowhere", no_such_judge)], tmp_path / "out")


def test_the_page_has_both_rules_side_by_side_and_what_is_missing(benches, tmp_path):
    judges = [
        contestant("one"),
        contestant("two", lambda edit: judged(10), role=Role.BASE),
        Contestant("nowhere", no_such_judge),
    ]
    report = evaluate_judges(benches, judges, tmp_path / "out").report
    page = as_markdown(report)
    assert "| figure | reference rules | ours | 95 % interval | rows |" in page
    assert "| exact | 1.000 | 1.000 | " in page
    assert "| mer-bench | two/1 (base) | exact 0.000 | " in page
    assert "no judgement of 0 of 8 edits" in page
    assert "### two/1 minus one/1, ours" in page
    assert "### Left out: 1" in page
    assert "- nowhere: judge nowhere: there is no such folder" in page


def test_what_is_written_can_be_read(benches, tmp_path):
    report = evaluate_judges(benches, [contestant("one")], tmp_path / "out").report
    files = write_report(report, tmp_path / "out")
    stored = (tmp_path / "out" / "report.json").read_text()
    assert Evaluation.model_validate_json(stored) == report
    assert (tmp_path / "out" / "report.md").read_text() == as_markdown(report)
    assert {path.name for path in files} >= {"mer-bench.png", "mer-bench-win-probability.png"}
    assert all(path.is_file() for path in files)


def test_the_first_figure_is_kept_prompt_by_prompt(benches, tmp_path):
    runs = evaluate_judges(benches, [contestant("one")], tmp_path / "out").runs
    evidence = evidence_of(benches[0], runs["one", "mer-bench"])
    assert evidence.digest == benches[0].published.digest
    assert (evidence.num_edits, evidence.num_failed) == (8, 0)
    [(figure, values)] = evidence.figures.items()
    assert (figure, values.values) == ("exact", (1.0, 1.0, 1.0, 1.0))
    assert len(set(values.prompts)) == 4
