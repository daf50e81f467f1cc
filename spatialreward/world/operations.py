"""Operations on a scene that instructions request, and their wording."""

from typing import Annotated, Literal, assert_never

from pydantic import Field

from spatialreward.records import Record
from spatialreward.world.scene import (
    Background,
    Cell,
    Colour,
    Scene,
    SceneObject,
    Size,
    cell_words,
)


class Add(Record):
    """Put an object into an empty cell."""

    kind: Literal["add"] = "add"
    cell: Cell
    thing: SceneObject


class Remove(Record):
    """Take the object out of a cell."""

    kind: Literal["remove"] = "remove"
    cell: Cell


class Replace(Record):
    """Put another object in an object's place."""

    kind: Literal["replace"] = "replace"
    cell: Cell
    thing: SceneObject


class Recolour(Record):
    """Change an object's colour."""

    kind: Literal["recolour"] = "recolour"
    cell: Cell
    colour: Colour


class Resize(Record):
    """Make an object large or small."""

    kind: Literal["resize"] = "resize"
    cell: Cell
    size: Size


class Move(Record):
    """Move an object to an empty cell."""

    kind: Literal["move"] = "move"
    cell: Cell
    to: Cell


class ChangeBackground(Record):
    """Put the scene before another background."""

    kind: Literal["background"] = "background"
    background: Background


Operation = Annotated[
    Add | Remove | Replace | Recolour | Resize | Move | ChangeBackground,
    Field(discriminator="kind"),
]


def apply(scene: Scene, operation: Operation) -> Scene:
    """The scene after an operation.

    Raises:
        ValueError: the operation does not fit the scene (an empty cell, two alike objects).
    """
    if isinstance(operation, ChangeBackground):
        return scene.with_background(operation.background)
    if isinstance(operation, Add):
        return scene.with_cell(operation.cell, operation.thing)
    thing = scene.objects.get(operation.cell)
    if thing is None:
        raise ValueError(f"{operation.kind}: there is nothing at {cell_words(operation.cell)}")
    match operation:
        case Remove():
            return scene.with_cell(operation.cell, None)
        case Replace():
            return scene.with_cell(operation.cell, operation.thing)
        case Recolour():
            recoloured = thing.model_copy(update={"colour": operation.colour})
            return scene.with_cell(operation.cell, recoloured)
        case Resize():
            resized = thing.model_copy(update={"size": operation.size})
            return scene.with_cell(operation.cell, resized)
        case Move():
            return scene.with_cell(operation.cell, None).with_cell(operation.to, thing)
        case _:
            assert_never(operation)


def cells_of(operation: Operation) -> tuple[int, ...]:
    """Cells of the operation; empty for the background."""
    match operation:
        case ChangeBackground():
            return ()
        case Move():
            return (operation.cell, operation.to)
        case _:
            return (operation.cell,)


def words(scene: Scene, operation: Operation, phrasing: int) -> str:
    """The operation as an instruction about ``scene``.

    Args:
        scene: the scene before the edit; its objects are named by their look there.
        operation: the requested change.
        phrasing: any number; selects one of several wordings.
    """
    forms = _phrasings(scene, operation)
    return forms[phrasing % len(forms)]


def _phrasings(scene: Scene, operation: Operation) -> tuple[str, ...]:
    match operation:
        case ChangeBackground():
            new = operation.background
            return (f"change the background to {new}", f"make the background {new}")
        case Add():
            what = f"a {operation.thing} at {cell_words(operation.cell)}"
            return (f"add {what}", f"put {what}")
    name = scene.objects[operation.cell].reference
    match operation:
        case Remove():
            return (f"remove the {name}", f"delete the {name}")
        case Replace():
            new = str(operation.thing)
            return (f"replace the {name} with a {new}", f"turn the {name} into a {new}")
        case Recolour():
            return (f"make the {name} {operation.colour}", f"paint the {name} {operation.colour}")
        case Resize():
            bigger = operation.size == "large"
            verbs = ("larger", "bigger") if bigger else ("smaller", "tiny")
            return tuple(f"make the {name} {verb}" for verb in verbs)
        case Move():
            to = cell_words(operation.to)
            return (f"move the {name} to {to}", f"shift the {name} to {to}")
