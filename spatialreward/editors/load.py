"""Opens an editor's checkpoint, whatever model is in it."""

from pathlib import Path

from spatialreward.editors.interface import FlowEditor


def load_editor(folder: Path) -> FlowEditor:
    """Read an editor's checkpoint; the tiny editor's is the only kind there is so far.

    Raises:
        InvalidInputError: the folder holds none, or a malformed one.
    """
    from spatialreward.world.tiny_editor import TinyEditor

    return TinyEditor.load(folder)
