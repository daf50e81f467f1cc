"""Scenes: objects on a grid of cells, on a background. Independent of pixels."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from spatialreward.records import BOX_SCALE, Record

Shape = Literal["circle", "square", "triangle", "cross"]
Colour = Literal["red", "green", "blue", "yellow", "purple", "cyan"]
Size = Literal["small", "large"]
Background = Literal["grey", "pink", "sand", "sky", "photo"]

SHAPES: tuple[Shape, ...] = get_args(Shape)
COLOURS: tuple[Colour, ...] = get_args(Colour)
SIZES: tuple[Size, ...] = get_args(Size)
PLAIN_BACKGROUNDS: tuple[Background, ...] = ("grey", "pink", "sand", "sky")

GRID = 4
Cell = Annotated[int, Field(ge=0, lt=GRID * GRID)]
Box = tuple[int, int, int, int]

# Share of a cell's side that an object fills.
EXTENT: dict[Size, float] = {"small": 0.5, "large": 0.875}


class SceneObject(Record):
    """One object; within a scene no two objects share both colour and shape."""

    shape: Shape
    colour: Colour
    size: Size

    def __str__(self) -> str:
        """Its wording in instructions and descriptions: ``large red circle``."""
        return f"{self.size} {self.colour} {self.shape}"

    @property
    def reference(self) -> str:
        """Its unique description within its scene: ``red circle``."""
        return f"{self.colour} {self.shape}"


class Scene(Record):
    """Objects by cell (row-major, 0 at the top left) on a background."""

    background: Background
    objects: dict[Cell, SceneObject]

    @model_validator(mode="after")
    def _references_are_unique(self) -> Self:
        references = [thing.reference for thing in self.objects.values()]
        if len(set(references)) != len(references):
            raise ValueError(f"two objects answer to the same words: {sorted(references)}")
        return self

    def with_cell(self, cell: int, thing: SceneObject | None) -> Self:
        """This scene with ``thing`` (or nothing) in one cell."""
        objects = {other: kept for other, kept in self.objects.items() if other != cell}
        if thing is not None:
            objects[cell] = thing
        return type(self)(background=self.background, objects=objects)

    def with_background(self, background: Background) -> Self:
        """This scene on another background."""
        return type(self)(background=background, objects=self.objects)

    def empty_cells(self) -> list[int]:
        """Empty cells, in reading order."""
        return [cell for cell in range(GRID * GRID) if cell not in self.objects]

    def in_reading_order(self) -> Iterator[tuple[int, SceneObject]]:
        """Cells and their objects, top left to bottom right."""
        return iter(sorted(self.objects.items()))


def cell_words(cell: int) -> str:
    """The words for a cell: ``row 2 column 3``, both counted from 1."""
    return f"row {cell // GRID + 1} column {cell % GRID + 1}"


def object_box(cell: int, thing: SceneObject) -> Box:
    """Box of an object, ``x1, y1, x2, y2`` in 0..1000."""
    side = BOX_SCALE / GRID
    margin = side * (1 - EXTENT[thing.size]) / 2
    left, top = cell % GRID * side, cell // GRID * side
    return (
        round(left + margin),
        round(top + margin),
        round(left + side - margin),
        round(top + side - margin),
    )


def union(first: Box, second: Box) -> Box:
    """Smallest box around both."""
    return (
        min(first[0], second[0]),
        min(first[1], second[1]),
        max(first[2], second[2]),
        max(first[3], second[3]),
    )
