import csv
import io
import math

import pytest
from PIL import Image

from spatialreward.benchmarks.editors.gedit import TASK_TYPES, GeditBench
from spatialreward.benchmarks.editors.load import NamedEditorBenchmark
from spatialreward.benchmarks.editors.pictures import EditedPictures
from spatialreward.errors import InvalidInputError
from tests.benchmarks.editors.folders import (
    figures,
    graded,
    request,
    write_gedit,
    write_imgedit,
    write_results,
)
from tests.benchmarks.folders import FIXTURES, png

needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs ../shared/data/benchmarks")


def read(folder, *rows, **more):
    return GeditBench.read(write_gedit(folder, *rows), **more)


def test_tasks_are_in_the_order_of_the_published_statistics(tmp_path):
    rows = [request("z", one) for one in reversed(TASK_TYPES)]
    bench = read(tmp_path, *rows, request("a", "ps_human"))
    assert [task.task_type for task in bench.published.tasks] == [
        *TASK_TYPES[:5],
        "ps_human",
        *TASK_TYPES[5:],
    ]
    first = bench.published.tasks[0]
    assert (first.id, first.instruction) == ("background_change/en/z", "change z")
    assert str(bench.place(first)) == "fullset/background_change/en/z.png"
    assert str(bench.source_place(first)) == "fullset/background_change/en/z_SRCIMG.png"
    assert Image.open(io.BytesIO(first.source.read())).size == (8, 8)


def test_languages_that_are_not_asked_for_are_no_rows(tmp_path):
    rows = request("a"), request("b", language="cn")
    assert [task.id for task in read(tmp_path, *rows, languages=["cn"]).published.tasks] == [
        "color_alter/cn/b"
    ]
    both = read(tmp_path, *rows)
    assert both.published.left_out == ()
    assert both.published.digest != read(tmp_path, *rows, languages=["en"]).published.digest


def test_rows_of_one_source_and_instruction_are_one_prompt(tmp_path):
    source = png()
    rows = [request(key, text="make it red", source=source) for key in "ab"]
    one, other, third = read(tmp_path, *rows, request("c", source=source)).published.tasks
    assert one.prompt == other.prompt != third.prompt


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task_type": "add_dog"}, "task_type: expected background_change, .* got 'add_dog'"),
        ({"instruction_language": "zh"}, "instruction_language: expected en, cn, got 'zh'"),
        ({"key": "../a"}, "key: expected a file's name, got '../a'"),
        ({"instruction": " "}, "instruction: expected text"),
        ({"Intersection_exist": None}, "Intersection_exist: expected true or false, got None"),
        ({"input_image": {"bytes": b"no", "path": None}}, "input_image: "),
        ({"input_image": {"bytes": None, "path": "a.png"}}, "input_image: is not in the file"),
        ({"key": "a"}, "color_alter/en/a: comes twice"),
    ],
)
def test_a_row_that_cannot_be_measured_on_is_named_and_the_rest_goes_on(tmp_path, changes, reason):
    published = read(tmp_path, request("a"), request("b") | changes).published
    assert [task.id for task in published.tasks] == ["color_alter/en/a"]
    [(where, result)] = published.left_out
    assert where == "data-00000-of-00001.arrow row 1"
    with pytest.raises(InvalidInputError, match=reason):
        raise InvalidInputError(result)


def test_a_folder_of_another_version_or_benchmark_is_named(tmp_path):
    row = request("a")
    del row["Intersection_exist"]
    with pytest.raises(InvalidInputError, match=r"another version\? lacks Intersection_exist; has"):
        read(tmp_path / "old", row)
    with pytest.raises(InvalidInputError, match=r"expected \*\.arrow or data/\*\.arrow"):
        GeditBench.read(write_imgedit(tmp_path / "imgedit", {"1": "add"}))
    with pytest.raises(InvalidInputError, match="no row can be measured on: the files have no"):
        read(tmp_path / "cn", request("a"), languages=["cn"])


def test_results_of_another_benchmark_are_no_results_of_this_one(tmp_path):
    bench = read(tmp_path / "bench", request("a"), request("b"))
    folder = write_results(bench, tmp_path / "results", without={"color_alter/en/a"})
    EditedPictures(bench, folder).check()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "100.png").write_bytes(png())
    with pytest.raises(InvalidInputError, match=r"expected such as fullset/color_alter/en/a\.png"):
        EditedPictures(bench, tmp_path / "other").check()


def test_results_named_one_folder_too_deep_or_too_high_are_found(tmp_path):
    bench = read(tmp_path / "bench", request("a"))
    folder = write_results(bench, tmp_path / "all" / "mine")
    for wrong in (folder / "fullset", tmp_path / "all"):
        with pytest.raises(InvalidInputError, match=rf"no edited picture of .*; {folder} holds"):
            EditedPictures(bench, wrong).check()


def test_names_and_places(tmp_path):
    assert NamedEditorBenchmark.parse("gedit=a/b").place == "a/b"
    for text, reason in (
        ("gedit", "benchmark gedit: expected gedit=FOLDER"),
        ("mer-bench=x", "benchmark 'mer-bench': expected one of gedit, imgedit, imgedit-uge"),
        ("imgedit=hub:sysuyy/ImgEdit", "on the hub the pictures are in an archive"),
    ):
        with pytest.raises(InvalidInputError, match=reason):
            NamedEditorBenchmark.parse(text)
    write_gedit(tmp_path, request("a"))
    opened = NamedEditorBenchmark.parse(f"gedit={tmp_path}").open(["en"])
    assert len(opened.published.tasks) == 1


@needs_fixtures
def test_the_published_layout_in_small():
    folder = FIXTURES / "gedit_bench"
    bench = GeditBench.read(folder / "arrow")
    assert len(bench.published.tasks) == 12
    assert bench.published.left_out == ()
    results = folder / "results" / "some-editor"
    EditedPictures(bench, results).check()
    grades = {}
    for path in results.glob("gpt4o/eval_results_new/*.csv"):
        with path.open(newline="", encoding="utf-8") as rows:
            for row in csv.DictReader(rows):
                task = row["edited_image"].removeprefix("fullset/").removesuffix(".png")
                semantics, quality = int(row["sementics_score"]), int(row["quality_score"])
                grades[task] = graded(semantics, 10, quality, 10)
    found = figures(bench, grades)
    for language in ("en", "cn"):
        assert found[f"sc_{language}"].reference == 5.5
        assert found[f"pq_{language}"].reference == 6.0
        mean = (math.sqrt(42) + math.sqrt(24)) / 2
        assert found[f"overall_{language}"].reference == pytest.approx(mean)
        assert found[f"overall_{language}_intersection"].reference == pytest.approx(math.sqrt(42))
