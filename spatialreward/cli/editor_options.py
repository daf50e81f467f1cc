"""How the commands of ``spatialreward rl`` name an editor."""

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
    """
    if editor.startswith(_REGISTERED):
        from spatialreward.ops.registry import resolve_model

        return resolve_model(editor)
    folder = Path(editor)
    if not folder.is_dir():
        raise InvalidInputError(f"{option} {editor}: there is no such folder; expected {EDITORS}")
    return folder
