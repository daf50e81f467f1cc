import math

import pytest

from spatialreward.benchmarks.editors.gedit import GeditBench
from spatialreward.benchmarks.editors.imgedit import UGE, ImgEditBench
from spatialreward.benchmarks.editors.interface import Grade
from spatialreward.benchmarks.editors.scoring import VieScore, mean_of_lines
from spatialreward.benchmarks.statistics import mean_of
from spatialreward.records import Judgement, JudgementStatus, Scores
from tests.benchmarks.editors.folders import (
    figures,
    graded,
    numbers,
    request,
    ungraded,
    write_gedit,
    write_imgedit,
)
from tests.benchmarks.folders import judged


@pytest.fixture
def gedit(tmp_path):
    """Three requests of one type and one of another in English, one in Chinese."""
    rows = [
        request("a"),
        request("b"),
        request("c", shared=False),
        request("d", "subject-add"),
        request("e", language="cn", shared=False),
    ]
    return GeditBench.read(write_gedit(tmp_path / "gedit", *rows))


def ids(benchmark):
    """Tasks by the end of their id."""
    return {task.id.rpartition("/")[2]: task.id for task in benchmark.published.tasks}


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("Why: fine.\nPrompt Compliance: 5\nVisual Naturalness: 4\nDetail: 5", 4.67),
        ("a: 1\nb: 2", 1.5),
        ("a: 3", 3.0),
        ("a: 3/5\nb: 4.5\nc: 4.\nd:4", None),
        # A number behind any word counts, and so does one in a line of its own indent.
        ("Brief reasoning: 4\n   a: 2  ", 3.0),
        ("a: b: 3", None),
        ("a: ²", None),
        ("", None),
    ],
)
def test_imgedits_script_takes_the_mean_of_lines_that_end_in_digits(answer, score):
    assert mean_of_lines(answer) == score


def test_viescore_takes_the_lower_score_of_each_stream():
    scores = Scores(editing_success=20, over_editing=17.5, naturalness=15, artifact_freedom=25)
    assert VieScore.of(scores) == (7.0, 6.0)
    assert VieScore.of(scores).overall == math.sqrt(42)
    assert VieScore.of(Scores(editing_success=20, over_editing=25)) == (8.0, None)
    assert VieScore.of(Scores(editing_success=20, over_editing=25)).overall is None


def test_gedits_figures_are_unweighted_means_of_task_types(gedit):
    at = ids(gedit)
    grades = {
        at["a"]: graded(7, 9, 6, 8),
        at["b"]: graded(4, 9, 6, 8),
        at["c"]: graded(10, 10, 10, 10),
        at["d"]: graded(9, 9, 4, 4),
        at["e"]: graded(1, 1, 4, 9),
    }
    found = figures(gedit, grades)
    assert list(found)[:4] == ["overall_en", "sc_en", "pq_en", "reward_en"]
    colours = (math.sqrt(42) + math.sqrt(24) + 10) / 3
    assert found["overall_en"].reference == pytest.approx((colours + 6) / 2)
    assert found["sc_en"].reference == pytest.approx((7 + 9) / 2)
    assert found["pq_en"].reference == pytest.approx((22 / 3 + 4) / 2)
    assert found["overall_en/color_alter"].reference == pytest.approx(colours)
    assert found["overall_en/subject-add"].reference == 6.0
    shared = (math.sqrt(42) + math.sqrt(24)) / 2
    assert found["overall_en_intersection"].reference == pytest.approx((shared + 6) / 2)
    assert found["overall_cn"].reference == 2.0
    assert "overall_cn_intersection" not in found
    assert "overall_en_intersection/subject-add" not in found
    for name in ("overall_en", "sc_en", "pq_en", "overall_en_intersection"):
        assert mean_of(found[name].ours) == pytest.approx(found[name].reference)
    assert found["reward_en"].reference is None


def test_what_is_missing_or_unreadable_is_left_out_by_reference_and_worst_in_ours(gedit):
    at = ids(gedit)
    grades = {at["a"]: graded(8, 8, 8, 8), at["b"]: ungraded(), at["d"]: graded(6, 6, 6, 6)}
    found = figures(gedit, grades)
    assert found["overall_en"].reference == pytest.approx(7.0)
    assert mean_of(found["overall_en"].ours) == pytest.approx((8 / 3 + 6) / 2)
    assert mean_of(found["reward_en"].ours) == pytest.approx((0.8 / 3 + 0.6) / 2)
    # Of all five tasks.
    assert mean_of(found["missing"].ours) == pytest.approx(2 / 5)
    assert mean_of(found["unreadable"].ours) == pytest.approx(1 / 5)
    # Nothing in Chinese was edited.
    assert found["overall_cn"].reference is None
    assert mean_of(found["overall_cn"].ours) == 0.0


def test_a_task_type_without_any_grade_is_not_in_the_published_mean(gedit):
    at = ids(gedit)
    found = figures(gedit, {at["d"]: graded(6, 6, 6, 6), at["a"]: ungraded()})
    assert found["overall_en"].reference == 6.0
    assert found["overall_en/color_alter"].reference is None
    assert mean_of(found["overall_en"].ours) == 3.0


def test_soft_scores_count_in_ours_and_written_ones_in_reference(gedit):
    hard = judged(20)
    soft = Scores(editing_success=17.5, over_editing=25, naturalness=17.5, artifact_freedom=25)
    grade = Grade(judgement=hard.model_copy(update={"soft_scores": soft}))
    found = figures(gedit, {ids(gedit)["d"]: grade})
    assert found["overall_en/subject-add"].reference == 8.0
    assert mean_of(found["overall_en/subject-add"].ours) == pytest.approx(7.0)


def test_a_judge_without_a_stream_has_no_figures_of_it(gedit):
    scores = Scores(editing_success=20, over_editing=25)
    judgement = Judgement(status=JudgementStatus.OK, scores=scores, reward=0.8)
    found = figures(gedit, {ids(gedit)["a"]: Grade(judgement=judgement)})
    assert found["sc_en/color_alter"].reference == 8.0
    assert {"overall_en", "pq_en"}.isdisjoint(found)
    assert "reward_en" in found


def test_nothing_readable_at_all_is_the_worst_of_every_figure(gedit):
    found = figures(gedit, {one: ungraded() for one in ids(gedit).values()})
    assert {found[name].reference for name in ("overall_en", "pq_cn")} == {None}
    assert mean_of(found["overall_en"].ours) == 0.0
    assert mean_of(found["unreadable"].ours) == 1.0


def test_imgedits_means_are_rounded_twice(tmp_path):
    types = {"1": "add", "2": "add", "3": "add", "4": "style"}
    bench = ImgEditBench.read(write_imgedit(tmp_path, types))
    grades = {
        "1": numbers(5, 4, 4),
        "2": numbers(5, 4, 4),
        "3": numbers(3, 3, 3),
        "4": numbers(1, 2, 2),
    }
    found = figures(bench, grades)
    # 4.33, 4.33 and 3 have the mean 3.8866..., which the script writes as 3.89.
    assert found["score/add"].reference == 3.89
    assert found["score/style"].reference == 1.67
    assert found["score"].reference == (3.89 + 1.67) / 2
    assert mean_of(found["score"].ours) == pytest.approx((35 / 9 + 5 / 3) / 2)


def test_imgedits_script_drops_cases_and_counts_two_numbers_as_three(tmp_path):
    bench = ImgEditBench.read(write_imgedit(tmp_path, dict.fromkeys("1234", "add")))
    grades = {
        "1": numbers(5, 5, 5),
        "2": numbers(answer="I cannot say."),
        "3": numbers(answer="a: 2\nb: 2"),
    }
    found = figures(bench, grades)
    assert found["score"].reference == 3.5
    # The worst is 1: of the two that cannot be read, and of the one that is missing.
    assert mean_of(found["score"].ours) == pytest.approx((5 + 3 * 1) / 4)
    assert mean_of(found["unreadable"].ours) == pytest.approx(2 / 4)
    assert mean_of(found["missing"].ours) == pytest.approx(1 / 4)


def test_uge_is_the_mean_of_its_cases(tmp_path):
    cases = dict.fromkeys("123")
    bench = ImgEditBench.read(write_imgedit(tmp_path, cases, "UGE_edit.json"), UGE)
    found = figures(bench, {"1": numbers(5), "2": numbers(4), "3": numbers(4)})
    assert found["score"].reference == 4.33
    assert not any("/" in name for name in found)


def test_a_judge_in_its_own_words_has_no_published_figure_on_imgedit(tmp_path):
    bench = ImgEditBench.read(write_imgedit(tmp_path, {"1": "add", "2": "style"}))
    found = figures(bench, {"1": graded(8, 8, 8, 8), "2": ungraded()})
    assert "score" not in found
    assert found["overall"].reference is None
    assert mean_of(found["overall"].ours) == pytest.approx(4.0)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"criteria": ()},
        {"criteria": (1, 2), "judgement": judged(3)},
        {"criteria": (), "judgement": judged(3)},
        {"judgement": judged(3), "answers": ()},
    ],
)
def test_a_grade_is_a_judgement_or_the_numbers_of_a_rubric(fields):
    with pytest.raises(ValueError, match="expected"):
        Grade(**fields)
