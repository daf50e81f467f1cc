"""Maps columns of a data set to an edit's fields, by settings instead of code.

A path names a column. ``turns.0.prompt`` is the prompt in the first element of the list ``turns``,
``images.-1`` the last element, ``images.:-1`` all but the last. A path that continues into a text
reads it as JSON. Of several paths separated by ``;`` the first one in a row counts. A column with
dots in its own name is found by that name.
"""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record


class RegionColumns(Record):
    """Columns of edit boxes, and their format."""

    boxes: str = Field(min_length=1)
    """Column with the list of boxes."""
    box: str = ""
    """Path of the four numbers in an element; empty if the element itself is them."""
    label: str = ""
    """Path of the label in an element; empty if there is none."""
    order: Literal["xyxy", "xywh", "yxyx"] = "xyxy"
    unit: Literal["per_mille", "share", "pixel"] = "per_mille"
    """``per_mille``: 0..1000 of the edited picture; ``share``: 0..1; ``pixel``: its pixels."""
    width: str = ""
    """Column with the edited picture's width in pixels; needed for ``pixel``."""
    height: str = ""

    @model_validator(mode="after")
    def _pixels_need_a_size(self) -> Self:
        if self.unit == "pixel" and not (self.width and self.height):
            raise ValueError("boxes in pixels need the columns `width` and `height`")
        return self


class AnswerColumns(Record):
    """Columns of answers in the judge's own JSON: labels that need no teacher."""

    either: str = ""
    """Column with an answer of either stream: PQ if the row has no source picture, else SC if
    ``instruction_after`` finds an instruction in the question, else by its keys."""
    sc: str = ""
    """Column with an answer of the SC stream."""
    pq: str = ""
    """Column with an answer of the PQ stream."""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if not self.named():
            raise ValueError("expected `either`, `sc` or `pq`")
        return self

    def named(self) -> tuple[str, ...]:
        """Every path in use."""
        return tuple(path for path in (self.either, self.sc, self.pq) if path)


class Columns(Record):
    """How to read one edit from a row; several of them read several edits per row.

    A row without a source picture serves the PQ stream, and needs no instruction.
    """

    sources: tuple[str, ...] = ()
    """Columns of the source pictures; a list column gives all its pictures."""
    edited: str = ""
    """Column of the edited picture; empty in data sets of prompts."""
    pictures: str = ""
    """Column with all pictures of a row, the edited one last; instead of ``sources`` and
    ``edited``."""
    instruction: str = ""
    """Empty only if no row has a source picture."""
    instruction_after: str = ""
    """If set, the instruction is the text after the last of these words in its column, which holds
    the question to a judge; removes ``<image>`` marks from it."""
    id: tuple[str, ...] = ()
    """Columns that together, joined by ``-``, are unique; empty: ids are file and row number."""
    part: str = ""
    """Suffix of the id that distinguishes this edit from others of its row."""
    each: str = ""
    """Column with a list of inner rows, such as the turns of a conversation. Missing fields are
    looked up in the outer row."""
    operation: str = ""
    editor: str = ""
    """Column of the editor's name."""
    regions: RegionColumns | None = None
    answers: AnswerColumns | None = None
    license: str = ""
    """Column of the row's licence; a row without one has the whole data set's, ``license``."""
    given: dict[str, str] = Field(default_factory=dict)
    """Further fields to keep: name in our data, and column. A list of columns keeps names."""

    @field_validator("given", mode="before")
    @classmethod
    def _a_list_keeps_the_names(cls, given: Any) -> Any:
        if not isinstance(given, list | tuple):
            return given
        if wrong := [name for name in given if not isinstance(name, str)]:
            raise ValueError(f"expected names of columns, got {wrong[0]!r}")
        return {name: name for name in given}

    @model_validator(mode="after")
    def _has_pictures_and_an_instruction(self) -> Self:
        if self.pictures and (self.sources or self.edited):
            raise ValueError("expected `pictures`, or `sources` and `edited`, got both")
        if not (self.pictures or self.sources or self.edited):
            raise ValueError("expected `sources`, `edited` or `pictures`")
        if bool(self.instruction) != bool(self.pictures or self.sources):
            raise ValueError("source pictures need an `instruction`, and it needs `sources`")
        return self

    def required(self) -> tuple[str, ...]:
        """Paths that every row must have, from the outer row."""
        if self.each:
            return (self.each,)
        answers = self.answers.named() if self.answers else ()
        paths = (*self.sources, self.edited, self.pictures, self.instruction, *self.id, *answers)
        return tuple(path for path in paths if path)

    def named(self) -> tuple[str, ...]:
        """Every path in use."""
        regions = self.regions
        pictures = (*self.sources, self.edited, self.pictures)
        texts = (self.instruction, self.each, self.operation, self.editor, self.license, *self.id)
        boxes = (regions.boxes, regions.width, regions.height) if regions else ()
        answers = self.answers.named() if self.answers else ()
        paths = (*pictures, *texts, *self.given.values(), *boxes, *answers)
        return tuple(path for path in paths if path)


class RankingColumns(Record):
    """How to read a preference from a row with several edited pictures of one task."""

    sources: tuple[str, ...] = Field(min_length=1)
    """Columns of the source pictures; a list column gives all its pictures."""
    edited: tuple[str, ...] = Field(min_length=1)
    """Columns of the edited pictures; a list column gives all its pictures."""
    instruction: str = Field(min_length=1)
    scores: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """For each dimension, columns with a score per edited picture: more is better, and equal scores
    tie. A row without one of them has no order in that dimension."""
    best_first: str = ""
    """Column with the name of the dimension in which edited pictures are sorted best first."""
    names: tuple[str, ...] = ()
    """Columns with an id for each edited picture; default: their numbers."""
    editors: tuple[str, ...] = ()
    """Columns with the editor of each edited picture."""
    id: tuple[str, ...] = ()
    """As for edits; the word ``ranking`` ends the id."""
    operation: str = ""
    license: str = ""

    @model_validator(mode="after")
    def _says_what_is_better(self) -> Self:
        if bool(self.scores) == bool(self.best_first):
            raise ValueError("expected `scores` or `best_first`, and not both")
        return self

    def required(self) -> tuple[str, ...]:
        """Paths that every row must have."""
        scores = [path for paths in self.scores.values() for path in paths]
        listed = (*self.sources, *self.edited, *scores, *self.names, *self.editors, *self.id)
        return tuple(path for path in (*listed, self.instruction, self.best_first) if path)

    def named(self) -> tuple[str, ...]:
        """Every path in use."""
        optional = (path for path in (self.operation, self.license) if path)
        return (*self.required(), *optional)


AnyColumns = Columns | RankingColumns


def alternatives(path: str) -> tuple[str, ...]:
    """The alternative paths, of which the first one in a row counts."""
    return tuple(one for one in path.split(";") if one)


def top_level(path: str, names: frozenset[str]) -> frozenset[str]:
    """The columns of ``names`` that a path may lead into."""
    return frozenset(
        name
        for one in alternatives(path)
        for name in names
        if one == name or one.startswith(name + ".")
    )


def needed(columns: tuple[AnyColumns, ...], names: frozenset[str]) -> frozenset[str]:
    """The columns of ``names`` that must be read."""
    paths = [path for mapping in columns for path in mapping.named()]
    return frozenset().union(*(top_level(path, names) for path in paths))


def check_columns(columns: tuple[AnyColumns, ...], names: frozenset[str], where: object) -> None:
    """Check that every required path leads into one of the columns ``names``.

    Raises:
        InvalidInputError: one does not; names ``where``, and the existing columns.
    """
    for mapping in columns:
        for path in mapping.required():
            if not top_level(path, names):
                raise InvalidInputError(
                    f"{where}: no column {path}; there are {', '.join(sorted(names))}"
                )
