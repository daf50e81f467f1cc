"""An edit of a data set as a task for an editor and as an edit for a judge, pictures decoded."""

from spatialreward.data.edits import LabelledEdit
from spatialreward.edits import Edit, EditTask
from spatialreward.errors import InvalidInputError


def task_of(edit: LabelledEdit) -> EditTask:
    """What its editor was asked to do, with all sources.

    Raises:
        InvalidInputError: there is no source picture, one cannot be decoded, or the instruction
            cannot be used; names the edit.
    """
    sources = edit.source_images()
    try:
        return EditTask(sources, edit.instruction, edit.id, edit.operation, edit.truth)
    except InvalidInputError as error:
        raise InvalidInputError(f"edit {edit.id}: {error}") from error


def edit_to_judge(edit: LabelledEdit) -> Edit:
    """The edit as a judge takes it.

    Raises:
        InvalidInputError: as ``task_of``, or the edited picture is missing or cannot be decoded.
    """
    return Edit.of(task_of(edit), edit.edited_image())
