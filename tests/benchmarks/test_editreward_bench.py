import json

import pytest

from spatialreward.benchmarks.editreward_bench import EditRewardBench
from spatialreward.benchmarks.statistics import mean_of
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.records import Scores
from tests.benchmarks.folders import (
    FIXTURES,
    failed,
    figures,
    judged,
    pair,
    png,
    write_editreward,
)

needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs ../shared/data/benchmarks")


def read(folder, *pairs):
    return EditRewardBench.read(write_editreward(folder, *pairs))


def scored(bench, **judgements):
    """Figures, with judgements by the picture's id."""
    keys = {
        candidate.key: judgements[candidate.name]
        for item in bench.published.items
        for candidate in item.candidates
        if candidate.name in judgements
    }
    return figures(bench, keys)


def both(metric):
    return metric.reference, mean_of(metric.ours)


def test_a_pair_is_compared_on_its_own_dimension(tmp_path):
    names = ("prompt_following", "consistency", "overall")
    bench = read(tmp_path, *(pair("ab", name) for name in names))
    found = scored(bench, a=judged(20, 5, 9, 9), b=judged(10, 15, 9, 9))
    assert both(found["prompt_following"]) == (1.0, 1.0)
    assert both(found["consistency"]) == (0.0, 0.0)
    # SC is 5.6 and 4.8.
    assert both(found["overall"]) == (1.0, 1.0)
    # The lower ones are 5 and 10.
    assert found["overall_min"].reference == 0.0


def test_a_picture_of_several_rows_is_one_edit(tmp_path):
    first, second = pair("ab", "overall"), pair("bc", "overall")
    items = read(tmp_path, first, second).published.items
    assert items[0].candidates[1].key == items[1].candidates[0].key


def test_task_types_count_the_same_however_many_pairs_they_have(tmp_path):
    pairs = [pair((f"a{n}", f"b{n}"), "overall") for n in range(3)]
    bench = read(tmp_path, *pairs, pair("xy", "overall", task_type="subject-add"))
    right = {f"a{n}": judged(20) for n in range(3)} | {f"b{n}": judged(10) for n in range(3)}
    found = scored(bench, **right, x=judged(1), y=judged(2))
    assert both(found["overall"]) == (0.5, 0.5)
    assert both(found["overall/appearance"]) == both(found["overall/color_alter"]) == (1.0, 1.0)
    assert both(found["overall/object"]) == both(found["overall/subject-add"]) == (0.0, 0.0)


def test_a_dimension_of_which_nothing_was_judged_counts_0_in_the_reference(tmp_path):
    bench = read(
        tmp_path,
        pair("ab", "overall"),
        pair("ab", "consistency"),
        pair("xy", "overall", task_type="extract"),
    )
    found = scored(bench, a=judged(20), b=judged(10), x=judged(20), y=judged(10))
    assert found["consistency"].reference == 0.5
    assert mean_of(found["consistency"].ours) == 1.0


def test_missing_pairs_leave_the_reference_and_are_wrong_to_us(tmp_path):
    bench = read(tmp_path, pair("ab", "overall"), pair("cd", "overall"))
    found = scored(bench, a=judged(20), b=judged(10), c=judged(20))
    assert both(found["overall"]) == (1.0, 0.5)
    unreadable = {"c": judged(20), "d": failed(Failure.BAD_INPUT)}
    assert both(scored(bench, a=judged(20), b=judged(10), **unreadable)["overall"]) == (1.0, 0.5)
    assert scored(bench)["overall"].reference is None


def test_a_failed_answer_wins_and_loses_in_the_reference_and_is_wrong_to_us(tmp_path):
    bench = read(tmp_path, pair("ab", "overall"), pair("cd", "overall"))
    found = scored(bench, a=judged(20), b=failed(), c=failed(), d=judged(1))
    assert both(found["overall"]) == (1.0, 0.0)
    assert mean_of(found["failed"].ours) == 1.0


def test_a_tie_is_wrong_under_both_rules_and_reported(tmp_path):
    found = scored(read(tmp_path, pair("ab", "overall")), a=judged(9), b=judged(9))
    assert both(found["overall"]) == (0.0, 0.0)
    assert mean_of(found["ties"].ours) == 1.0


def test_our_dimensions_are_soft_where_the_judge_has_soft_scores(tmp_path):
    bench = read(tmp_path, pair("ab", "prompt_following"))
    a, b = (
        judged(20).model_copy(update={"soft_scores": Scores(editing_success=s, over_editing=9)})
        for s in (20.3, 19.8)
    )
    assert both(scored(bench, a=a, b=b)["prompt_following"]) == (0.0, 1.0)


def test_rows_that_are_no_pairs_are_named_and_the_rest_goes_on(tmp_path):
    rows = [
        pair("ab", "overall"),
        pair("a", "overall"),
        pair("aa", "overall"),
        pair("ab", "beauty"),
        pair("ab", "overall", pictures=(png(), b"broken")),
    ]
    published = read(tmp_path, *rows).published
    assert len(published.items) == 1
    reasons = [one.reason for one in published.left_out]
    assert reasons[0] == "expected two edited pictures with an id each, got 2 and ['a']"
    assert "got 2 and ['a', 'a']" in reasons[1]
    assert reasons[2] == "dimension: expected consistency, overall, prompt_following, got 'beauty'"
    assert "row 4 output_images[1]" in reasons[3]


def test_paths_of_the_authors_machine_are_looked_up_below_images(tmp_path):
    (tmp_path / "images").mkdir()
    names = [f"000000_{name}.jpg" for name in ("input", "output_a", "output_b")]
    for name in names:
        (tmp_path / "images" / name).write_bytes(png())
    source, *edited = (f"/data/of/authors/images/{name}" for name in names)
    row = pair("ab", "overall") | {"input_image": source, "output_images": edited}
    (tmp_path / "bench.jsonl").write_text(f"{json.dumps(row)}\n{{broken\n\n")
    published = EditRewardBench.read(tmp_path).published
    assert published.items[0].sources[0].where == "images/000000_input.jpg"
    assert [one.where for one in published.left_out] == ["bench.jsonl row 1"]


def test_the_benchmark_of_tiger_lab_is_not_taken_for_this_one(tmp_path):
    row = pair("ab", "overall")
    del row["dimension"]
    with pytest.raises(InvalidInputError, match=r"another version\? lacks dimension; has key, "):
        read(tmp_path, row | {"candidate_1": "x", "ranking": "A>B"})


@needs_fixtures
def test_both_published_layouts_give_the_same_pairs():
    arrow, lines = (
        EditRewardBench.read(FIXTURES / "editreward_bench" / place).published
        for place in ("arrow", "jsonl")
    )
    assert arrow.left_out == lines.left_out == ()

    def summary(published):
        return [
            (item.instruction, item.labels, [(one.key, one.name) for one in item.candidates])
            for item in published.items
        ]

    assert summary(arrow) == summary(lines)
    # One is the winner in one row and the loser in another.
    assert len({key for _, _, two in summary(arrow) for key in two}) == 8
