import json

import pytest

from spatialreward.benchmarks.editors.imgedit import EDIT_TYPES, UGE, ImgEditBench
from spatialreward.benchmarks.editors.interface import Grade
from spatialreward.benchmarks.editors.pictures import EditedPictures
from spatialreward.benchmarks.editors.rubric import Rubric
from spatialreward.errors import InvalidInputError
from tests.benchmarks.editors.folders import figures, request, write_gedit, write_imgedit
from tests.benchmarks.folders import FIXTURES

needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs ../shared/data/benchmarks")


def change(folder, key, **changes):
    path = folder / "basic_edit.json"
    cases = json.loads(path.read_text())
    path.write_text(json.dumps(cases | {key: cases[key] | changes}))
    return folder


def test_cases_have_their_key_their_type_and_their_source(tmp_path):
    bench = ImgEditBench.read(write_imgedit(tmp_path, {"107": "style", "9": "add"}))
    first, second = bench.published.tasks
    assert (first.id, first.task_type, first.instruction) == ("107", "style", "change 107")
    assert str(bench.place(second)) == "9.png"
    assert bench.source_place(first) is None
    assert first.source.read().startswith(b"\x89PNG")


def test_sources_are_found_where_the_archive_puts_them(tmp_path):
    folder = write_imgedit(tmp_path, {"1": "add"})
    (folder / "Benchmark").mkdir()
    (folder / "original_images").rename(folder / "Benchmark" / "singleturn")
    assert ImgEditBench.read(folder).published.tasks[0].source.read()


def test_the_uge_suite_has_no_types(tmp_path):
    folder = write_imgedit(tmp_path, dict.fromkeys("12"), "UGE_edit.json")
    bench = ImgEditBench.read(folder, UGE)
    assert [task.task_type for task in bench.published.tasks] == ["", ""]
    assert bench.name == "imgedit-uge"
    with pytest.raises(InvalidInputError, match=r"expected basic_edit\.json or"):
        ImgEditBench.read(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"edit_type": "hybrid"}, "case 2: edit_type: expected add, .* got 'hybrid'"),
        ({"id": "thing/none.png"}, "picture thing/none.png: No such file"),
        ({"id": "../a.png"}, r"case 2: id: \.\./a\.png: expected a path below the pictures"),
        ({"prompt": ""}, "prompt: expected text"),
    ],
)
def test_a_case_that_cannot_be_measured_on_is_named_and_the_rest_goes_on(tmp_path, changes, reason):
    folder = change(write_imgedit(tmp_path, {"1": "add", "2": "add"}), "2", **changes)
    published = ImgEditBench.read(folder).published
    assert [task.id for task in published.tasks] == ["1"]
    [(where, result)] = published.left_out
    assert where == "basic_edit.json row 1"
    with pytest.raises(InvalidInputError, match=reason):
        raise InvalidInputError(result)


def test_a_file_of_another_version_is_named(tmp_path):
    folder = write_imgedit(tmp_path, {"1": None})
    with pytest.raises(InvalidInputError, match=r"another version\? lacks edit_type; has id"):
        ImgEditBench.read(folder)
    (folder / "basic_edit.json").write_text("[1]")
    with pytest.raises(InvalidInputError, match="row 0: expected an object, got int"):
        ImgEditBench.read(folder)
    (folder / "basic_edit.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"basic_edit\.json: is not JSON"):
        ImgEditBench.read(folder)
    with pytest.raises(InvalidInputError, match=r"expected basic_edit\.json"):
        ImgEditBench.read(write_gedit(tmp_path / "gedit", request("a")))


@needs_fixtures
def test_the_published_layout_in_small():
    folder = FIXTURES / "imgedit_bench"
    bench = ImgEditBench.read(folder)
    assert len(bench.published.tasks) == 18
    assert {task.task_type for task in bench.published.tasks} == {*EDIT_TYPES}
    EditedPictures(bench, folder / "edited_images").check()
    rubric = Rubric.read(folder / "prompts.json", bench.suite)
    answers = json.loads((folder / "edited_images" / "result.json").read_text())
    grades = {
        key: Grade(criteria=rubric.read_answer(text), answers=((text,),))
        for key, text in answers.items()
    }
    found = figures(bench, grades)
    result = {"add": 4, "adjust": 3, "extract": 2, "replace": 3, "remove": 4}
    result |= {"background": 3, "style": 2, "compose": 3, "action": 4}
    assert {name: found[f"score/{name}"].reference for name in result} == pytest.approx(result)
    assert found["score"].reference == pytest.approx(28 / 9)
