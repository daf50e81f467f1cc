"""How commands name an editor."""

from pathlib import Path

from spatialreward.errors import InvalidInputError

EDITORS = "a folder, models:/NAME@ALIAS or models:/NAME/VERSION"
_REGISTERED = "models:/"


def editor_folder(editor: str, option: str) -> Path:
    """The folder of an editor, brought here if it is a registered one.

    Args:
        editor: as the user names it.
        option: what an error calls it.

    Raises:
        InvalidInputError: there is no such folder, or it holds no editor.
        TrackingError: the registry does not answer, or has no such model.
        StorageError: the object store does not answer, or does not have all of the model.
    """
    if editor.startswith(_REGISTERED):
        from spatialreward.ops.registry import bring, look_up

        return bring(look_up(editor))
    folder = Path(editor)
    if not folder.is_dir():
        raise InvalidInputError(f"{option} {editor}: there is no such folder; expected {EDITORS}")
    return folder
