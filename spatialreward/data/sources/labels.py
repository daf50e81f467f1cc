"""Reads answers in a data set as labels, which then need no teacher.

An answer has the judge's own form, and the judge's own parser reads it.
"""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from spatialreward.data.reserved import find_reserved
from spatialreward.data.sources.columns import AnswerColumns
from spatialreward.data.sources.interface import RowError
from spatialreward.data.sources.values import Row, look_up, text_at
from spatialreward.errors import JudgementError
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.parsing import (
    PerceptualAnswer,
    SemanticAnswer,
    parse_perceptual,
    parse_semantic,
)
from spatialreward.records import Judgement, JudgementStatus, Mending, Scores, Streams

_SC_KEY = '"edit_region"'


class LabelFault(StrEnum):
    """Why a row's label is dropped; a short list, for counting."""

    UNREADABLE = "answer cannot be read"
    NO_SOURCE = "SC answer without a source picture"
    NO_EDITED = "answer without an edited picture"
    TWO_ANSWERS = "two answers of one stream"
    RESERVED = "answer holds a reserved token"


class LabelError(Exception):
    """A row's answers are not a label; the row itself may be usable."""

    def __init__(self, fault: LabelFault, detail: str) -> None:
        """Store the reason and its detail."""
        super().__init__(f"{fault.value}: {detail}")


def label_of(
    row: Row,
    columns: AnswerColumns,
    *,
    has_source: bool,
    has_edited: bool,
    asks_for_edit: bool,
    by: str,
) -> Judgement | None:
    """The label from a row's answers; None if it has none.

    Args:
        row: in the source's form.
        columns: of the answers.
        has_source: whether the row has a source picture; without one it is of the PQ stream.
        has_edited: whether the row has an edited picture, which answers are about.
        asks_for_edit: whether the row's question contains an instruction, so that it is of the SC
            stream.
        by: origin of the label.

    Raises:
        LabelError: an answer is unusable.
    """
    semantic: SemanticAnswer | None = None
    perceptual: PerceptualAnswer | None = None
    for path, stream, text in _answers(row, columns, asks_for_edit and has_source):
        if not has_edited:
            raise LabelError(LabelFault.NO_EDITED, f"column {path}")
        if stream is Streams.SEMANTIC and not has_source:
            raise LabelError(LabelFault.NO_SOURCE, f"column {path}")
        if (semantic if stream is Streams.SEMANTIC else perceptual) is not None:
            raise LabelError(LabelFault.TWO_ANSWERS, f"column {path}: another one of {stream}")
        try:
            if stream is Streams.SEMANTIC:
                semantic = parse_semantic(text)
            else:
                perceptual = parse_perceptual(text)
        except JudgementError as error:
            raise LabelError(LabelFault.UNREADABLE, f"column {path}: {error}") from error
    if semantic is None and perceptual is None:
        return None
    label = _label(semantic, perceptual, by)
    if found := find_reserved(label):
        raise LabelError(LabelFault.RESERVED, str(found))
    return label


def spoken_at(row: Row, path: str) -> str | None:
    """The text at ``path``: a string, the text parts of a chat's turn, or parsed JSON.

    Raises:
        RowError: it holds something else.
    """
    match look_up(row, path):
        case list() | tuple() as parts if all(isinstance(part, dict) for part in parts):
            return "".join(_text_of(part) for part in parts)
        case dict() as value:
            return json.dumps(value, ensure_ascii=False, default=str)
    return text_at(row, path)


def _answers(
    row: Row, columns: AnswerColumns, asks_for_edit: bool
) -> Iterator[tuple[str, Streams, str]]:
    named = ((columns.sc, Streams.SEMANTIC), (columns.pq, Streams.PERCEPTUAL))
    for path, stream in (*named, (columns.either, None)):
        if not path:
            continue
        try:
            text = spoken_at(row, path)
        except RowError as error:
            raise LabelError(LabelFault.UNREADABLE, error.detail) from error
        if text is not None:
            is_semantic = asks_for_edit or _SC_KEY in text
            found = Streams.SEMANTIC if is_semantic else Streams.PERCEPTUAL
            yield path, stream or found, text


def _text_of(part: dict[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else ""


def _label(
    semantic: SemanticAnswer | None, perceptual: PerceptualAnswer | None, by: str
) -> Judgement:
    sc, pq = semantic and semantic.score, perceptual and perceptual.score
    scores = Scores(
        editing_success=sc[0] if sc else None,
        over_editing=sc[1] if sc else None,
        naturalness=pq[0] if pq else None,
        artifact_freedom=pq[1] if pq else None,
    )
    mended = {one for answer in (semantic, perceptual) if answer for one in answer.mended}
    return Judgement(
        status=JudgementStatus.OK,
        regions=semantic.edit_region if semantic else (),
        sc_reasoning=semantic.reasoning if semantic else "",
        pq_reasoning=perceptual.reasoning if perceptual else "",
        scores=scores,
        reward=Aggregation().reward(scores),
        mended=tuple(one for one in Mending if one in mended),
        judged_by=by,
    )
