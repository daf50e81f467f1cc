import io
import itertools
import json

import pytest
from PIL import Image

from spatialreward.benchmarks.editors.gedit import GeditBench
from spatialreward.benchmarks.editors.graders import JudgeGrader
from spatialreward.benchmarks.editors.grading import GradingRecord, grade_edits
from spatialreward.benchmarks.editors.pictures import EditedPictures
from spatialreward.errors import Failure, InvalidInputError
from tests.benchmarks.editors.folders import request, write_gedit, write_results
from tests.benchmarks.folders import ScriptedJudge, failed, judged, png

NUM = 10


@pytest.fixture
def pictures(tmp_path):
    rows = [request(f"k{number}") for number in range(NUM)]
    bench = GeditBench.read(write_gedit(tmp_path / "bench", *rows))
    missing = {"color_alter/en/k9"}
    return EditedPictures(bench, write_results(bench, tmp_path / "results", without=missing))


@pytest.fixture
def grade(pictures, tmp_path):
    """Grades with a judge of a script; returns what came of it, and the judge."""

    def grade(script, *, name="scripted", num_retries=0, resize_to_source=True):
        judge = ScriptedJudge(script, name=name)
        bench = pictures.benchmark
        record = GradingRecord(
            benchmark=bench.name,
            digest=bench.published.digest,
            grader=judge.identity,
            resize_to_source=resize_to_source,
            num_retries=num_retries,
        )
        grader = JudgeGrader(judge, num_retries)
        return grade_edits(pictures, grader, tmp_path / "grades", record), judge

    return grade


def rows_of(tmp_path):
    text = (tmp_path / "grades" / "rows.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def good(edit):
    return judged(20)


def test_each_picture_is_graded_once_and_the_missing_one_is_named(grade, tmp_path):
    graded, judge = grade(good)
    assert len(graded.grades) == len(judge.asked) == NUM - 1
    [(task, why)] = graded.missing.items()
    assert task == "color_alter/en/k9"
    assert why.startswith("picture fullset/color_alter/en/k9.png: ")
    row = rows_of(tmp_path)[0]
    assert row["task"] == "color_alter/en/k0"
    assert len(row["picture"]) == 64
    assert row["grade"]["judgement"]["judged_by"] == "scripted/1"
    again, judge = grade(good)
    assert (again.num_reused, judge.asked) == (NUM - 1, [])
    assert again.grades == graded.grades


def test_grading_goes_on_behind_the_last_whole_row(grade, tmp_path):
    counter = itertools.count(1)

    def killed(edit):
        if next(counter) > 8:
            raise KeyboardInterrupt
        return judged(20)

    with pytest.raises(KeyboardInterrupt):
        grade(killed)
    with (tmp_path / "grades" / "rows.jsonl").open("a") as rows:
        rows.write('{"task": "color')
    graded, judge = grade(good)
    assert (graded.num_reused, len(judge.asked)) == (8, 1)
    assert len(rows_of(tmp_path)) == graded.num_asked == NUM - 1


def test_an_exchanged_picture_and_a_broken_server_are_graded_again_and_nothing_else(
    grade, pictures
):
    def broken(edit):
        failures = {"k1": Failure.JUDGE_FAILED, "k2": Failure.CUT_OFF}
        name = edit.id.rpartition("/")[2]
        return failed(failures[name]) if name in failures else judged(20)

    grade(broken)
    (pictures.folder / "fullset" / "color_alter" / "en" / "k3.png").write_bytes(png())
    (pictures.folder / "fullset" / "color_alter" / "en" / "k9.png").write_bytes(png())
    graded, judge = grade(good)
    assert {one.id[-2:] for one in judge.asked} == {"k1", "k3", "k9"}
    assert graded.missing == {}
    assert graded.grades["color_alter/en/k2"].failure is Failure.CUT_OFF


def test_a_picture_that_is_none_is_missing_and_the_rest_goes_on(grade, pictures):
    place = pictures.folder / "fullset" / "color_alter" / "en"
    (place / "k4.png").write_bytes(b"no picture")
    file = io.BytesIO()
    Image.effect_noise((64, 64), 99).save(file, format="PNG")
    (place / "k5.png").write_bytes(file.getvalue()[:-2000])
    graded, judge = grade(good)
    assert {one[-2:] for one in graded.missing} == {"k4", "k5", "k9"}
    assert "k4.png" in graded.missing["color_alter/en/k4"]
    assert len(judge.asked) == NUM - 3
    (place / "k4.png").write_bytes(png())
    graded, judge = grade(good)
    assert [one.id[-2:] for one in judge.asked] == ["k4"]


def test_another_grader_or_setting_is_another_run(grade, tmp_path):
    grade(good)
    with pytest.raises(InvalidInputError, match="grader: the run here began with scripted/1"):
        grade(good, name="other")
    with pytest.raises(InvalidInputError, match="num_retries: the run here began with 0"):
        grade(good, num_retries=2)
    with pytest.raises(InvalidInputError, match="resize_to_source: the run here began with True"):
        grade(good, resize_to_source=False)
    (tmp_path / "grades" / "rows.jsonl").write_text("{}\n")
    with pytest.raises(InvalidInputError, match=r"rows\.jsonl: line 1: task: "):
        grade(good)


def test_edited_pictures_are_brought_to_their_source_where_the_benchmark_does(pictures):
    task = pictures.benchmark.published.tasks[0]
    Image.new("RGB", (16, 4)).save(pictures.of(task).path)
    assert pictures.edit(task, resize_to_source=True).edited.size == (8, 8)
    edit = pictures.edit(task, resize_to_source=False)
    assert edit.edited.size == (16, 4)
    assert (edit.id, edit.operation) == ("color_alter/en/k0", "color_alter")
