"""Converts a data set's edit to a task for an editor and to an edit for a judge."""

from spatialreward.data.edits import LabelledEdit
from spatialreward.edits import Edit, EditTask
from spatialreward.errors import InvalidInputError


def task_of(edit: LabelledEdit) -> EditTask:
    """Its editor's task, with all sources.

    Raises:
        InvalidInputError: there is no source picture, one cannot be decoded, or the instruction is
            unusable; names the edit.
    """
    sources = edit.source_images()
    try:
        return EditTask(sources, edit.instruction, edit.id, edit.operation, edit.truth)
    except InvalidInputError as error:
        raise InvalidInputError(f"edit {edit.id}: {error}") from error


def edit_to_judge(edit: LabelledEdit) -> Edit:
    """The edit in the form that judges take.

    Raises:
        InvalidInputError: as ``task_of``, or the edited picture is missing or cannot be decoded.
    """
    return Edit.of(task_of(edit), edit.edited_image())
