"""Which column of a data set holds what: settings, not code.

A column is named by a path. ``turns.0.prompt`` is the prompt in the first element of the list
``turns``, ``images.-1`` the last element, ``images.:-1`` all but the last. Where a path goes on
into a text, the text is read as JSON. Of several paths with ``;`` between them the first that a row
has counts. A column whose own name has dots in it is found by that name.
"""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record


class RegionColumns(Record):
    """Where a row has boxes of what was edited, and how they are written."""

    boxes: str = Field(min_length=1)
    """Column with the list of boxes."""
    box: str = ""
    """Where in one element its four numbers are; empty if the element is the four numbers."""
    label: str = ""
    """Where in one element its label is; empty if there is none."""
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
    """Where a row has answers in the judge's own JSON: labels that need no teacher."""

    either: str = ""
    """Column with an answer of either stream: of PQ where the row has no source picture, else of SC
    where ``instruction_after`` finds an instruction in the question, else as its keys say."""
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
        """Every path that is looked at."""
        return tuple(path for path in (self.either, self.sc, self.pq) if path)


class Columns(Record):
    """How one edit is read from a row; several of them read several edits from each row.

    A row without a source picture is kept for the PQ stream, and needs no instruction.
    """

    sources: tuple[str, ...] = ()
    """Columns of the source pictures; one that holds a list gives all of them."""
    edited: str = ""
    """Column of the edited picture; empty in data sets of prompts."""
    pictures: str = ""
    """Column with all pictures of a row, the edited one last; instead of ``sources`` and
    ``edited``."""
    instruction: str = ""
    """Empty only if no row has a source picture."""
    instruction_after: str = ""
    """If set, the instruction is what follows the last of these words in its column, which holds
    the question to a judge; ``<image>`` marks in it are taken out."""
    id: tuple[str, ...] = ()
    """Columns that together, joined by ``-``, are different in every row; empty: ids are file and
    row number."""
    part: str = ""
    """Ends the id, to tell this edit from the others of its row."""
    each: str = ""
    """Column with a list of rows within the row, such as the turns of a conversation. What they
    lack is looked for in the row itself."""
    operation: str = ""
    editor: str = ""
    """Column that says who drew the edited picture."""
    regions: RegionColumns | None = None
    answers: AnswerColumns | None = None
    license: str = ""
    """Column of the row's licence; a row without one has the whole data set's, ``license``."""
    given: dict[str, str] = Field(default_factory=dict)
    """What else to keep: its name in our data, and the column. A list of columns keeps names."""

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
        """Paths that every row must have, as seen from the row itself."""
        if self.each:
            return (self.each,)
        answers = self.answers.named() if self.answers else ()
        paths = (*self.sources, self.edited, self.pictures, self.instruction, *self.id, *answers)
        return tuple(path for path in paths if path)

    def named(self) -> tuple[str, ...]:
        """Every path that is looked at."""
        regions = self.regions
        pictures = (*self.sources, self.edited, self.pictures)
        texts = (self.instruction, self.each, self.operation, self.editor, self.license, *self.id)
        boxes = (regions.boxes, regions.width, regions.height) if regions else ()
        answers = self.answers.named() if self.answers else ()
        paths = (*pictures, *texts, *self.given.values(), *boxes, *answers)
        return tuple(path for path in paths if path)


class RankingColumns(Record):
    """How a preference is read from a row that has several edited pictures of one task."""

    sources: tuple[str, ...] = Field(min_length=1)
    """Columns of the source pictures; one that holds a list gives all of them."""
    edited: tuple[str, ...] = Field(min_length=1)
    """Columns of the edited pictures; one that holds a list gives all of them."""
    instruction: str = Field(min_length=1)
    scores: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """By dimension, columns with a score for each edited picture: the more the better, and equal
    ones tie. A row that lacks one of them has no order in that dimension."""
    best_first: str = ""
    """Column that names the dimension in which the edited pictures stand best first."""
    names: tuple[str, ...] = ()
    """Columns with an id for each edited picture; left out: their numbers."""
    editors: tuple[str, ...] = ()
    """Columns that say who drew each edited picture."""
    id: tuple[str, ...] = ()
    """As of edits; the word ``ranking`` ends the id."""
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
        """Every path that is looked at."""
        optional = (path for path in (self.operation, self.license) if path)
        return (*self.required(), *optional)


AnyColumns = Columns | RankingColumns


def alternatives(path: str) -> tuple[str, ...]:
    """The paths of which the first that a row has counts."""
    return tuple(one for one in path.split(";") if one)


def top_level(path: str, names: frozenset[str]) -> frozenset[str]:
    """Which of the columns ``names`` a path may lead into."""
    return frozenset(
        name
        for one in alternatives(path)
        for name in names
        if one == name or one.startswith(name + ".")
    )


def needed(columns: tuple[AnyColumns, ...], names: frozenset[str]) -> frozenset[str]:
    """Which of the columns ``names`` must be read at all."""
    paths = [path for mapping in columns for path in mapping.named()]
    return frozenset().union(*(top_level(path, names) for path in paths))


def check_columns(columns: tuple[AnyColumns, ...], names: frozenset[str], where: object) -> None:
    """Make sure that every required path leads into one of the columns ``names``.

    Raises:
        InvalidInputError: one does not; says so of ``where``, with the columns that there are.
    """
    for mapping in columns:
        for path in mapping.required():
            if not top_level(path, names):
                raise InvalidInputError(
                    f"{where}: no column {path}; there are {', '.join(sorted(names))}"
                )
