import json

import pytest
from PIL import Image

from spatialreward.data.task_file import TaskFile
from spatialreward.errors import InvalidInputError


@pytest.fixture
def write(tmp_path):
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (8, 8), colour).save(tmp_path / name)
    (tmp_path / "broken.png").write_text("no picture")

    def write(*lines):
        file = tmp_path / "tasks.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_text("\n".join(texts) + "\n")
        return file

    return write


def line(id="one", source="a.png", instruction="make it green", **more):
    return {"id": id, "source": source, "instruction": instruction, **more}


def test_tasks_are_read_with_their_pictures(write):
    file = write(
        line(edited="later.png"),
        "",
        line("two", ["b.png", "a.png"], operation="recolour", truth="{}"),
    )
    tasks = TaskFile(file)
    assert len(tasks) == 2
    first, second = tasks
    assert (first.id, first.instruction, first.operation) == ("one", "make it green", "")
    assert first.sources[0].getpixel((0, 0)) == (255, 0, 0)
    assert [one.getpixel((0, 0)) for one in second.sources] == [(0, 0, 255), (255, 0, 0)]
    assert (second.operation, second.truth) == ("recolour", "{}")


def test_the_digest_is_of_lines_and_pictures(write, tmp_path):
    before = TaskFile(write(line())).digest
    assert TaskFile(write(line())).digest == before
    assert TaskFile(write(line(instruction="make it blue"))).digest != before
    Image.new("RGB", (8, 8), "black").save(tmp_path / "a.png")
    assert TaskFile(write(line())).digest != before


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([line(), line("two", "gone.png")], "line 2: source {folder}/gone.png: there is no such"),
        ([line(), line("two", ["a.png", "gone.png"])], "line 2: source {folder}/gone.png: there"),
        ([line(source=[])], "line 1: source: expected one picture at least"),
        ([line(), line()], "line 2: id 'one' appears twice"),
        ([line(instruction=" ")], "line 1: instruction: is empty"),
        ([{"id": "one", "source": "a.png"}], "line 1: instruction: Field required"),
        (["{"], "line 1: is not JSON"),
        ([""], "holds no tasks"),
    ],
)
def test_what_is_no_task_is_named_by_its_line(write, tmp_path, lines, complaint):
    with pytest.raises(InvalidInputError) as caught:
        TaskFile(write(*lines))
    assert str(caught.value).startswith(f"tasks {tmp_path}/tasks.jsonl")
    assert complaint.format(folder=tmp_path) in str(caught.value)


def test_a_file_that_is_not_there_and_a_picture_that_is_none(write, tmp_path):
    with pytest.raises(InvalidInputError, match=r"tasks .*no.jsonl: No such file"):
        TaskFile(tmp_path / "no.jsonl")
    tasks = TaskFile(write(line(source="broken.png")))
    with pytest.raises(InvalidInputError, match=r"tasks.jsonl, line 1: sources\[0\]: "):
        tasks.task(0)
