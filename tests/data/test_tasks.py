import pytest

from spatialreward.data.tasks import edit_to_judge, task_of
from spatialreward.errors import InvalidInputError
from tests.data.packing.making import make_alone, make_edit, make_prompt, picture


def test_a_task_has_all_sources_id_operation_and_truth():
    row = make_edit(1, sources=(picture(1), picture(2)), truth='{"made": "so"}')
    task = task_of(row)
    assert task.sources == row.source_images()
    assert len(task.sources) == 2
    assert task.instruction == row.instruction
    assert (task.id, task.operation, task.truth) == ("edit-1", "add", '{"made": "so"}')


def test_an_edit_to_judge_is_its_task_and_the_edited_picture():
    row = make_edit(1, sources=(picture(1), picture(2)), truth="{}")
    edit = edit_to_judge(row)
    assert edit.task == task_of(row)
    assert edit.edited == row.edited_image()


@pytest.mark.parametrize(
    ("made", "row", "message"),
    [
        (task_of, make_prompt(3, instruction=" "), "edit edit-3: instruction: is empty"),
        (task_of, make_alone(3, instruction="a"), "edit edit-3: sources: expected one picture"),
        (task_of, make_edit(3, sources=(b"no",)), "picture edit-3/source: "),
        (edit_to_judge, make_prompt(3), "edit edit-3: edited: there is no edited picture"),
    ],
)
def test_what_is_missing_is_reported_with_the_edit(made, row, message):
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        made(row)
