"""A second opinion on where an edit is: a vision-language model boxes what the instruction names.

The caller reconciles its boxes with what the pixels say.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from pydantic import Field

from spatialreward.chat.faults import ChatFault
from spatialreward.data.edits import LabelledEdit, Rejected
from spatialreward.data.teacher import prompts
from spatialreward.data.teacher.answers import GroundingAnswer
from spatialreward.data.teacher.asking import Asker
from spatialreward.data.teacher.config import TeacherConfig
from spatialreward.data.teacher.faults import REASON_PREFIX, reason_of
from spatialreward.data.teacher.in_order import ask_in_order
from spatialreward.data.teacher.pictures import EditPictures
from spatialreward.data.teacher.questions import Question
from spatialreward.data.teacher.usage import Tally, TeacherUsage
from spatialreward.errors import InvalidInputError
from spatialreward.records import EditRegion, Record

NOTHING_TO_GROUND = REASON_PREFIX + "nothing to ground"
"""Reason why an edit is not asked about."""


class Grounding(Record):
    """What a model boxed for one edit."""

    id: str
    """Of the edit."""
    regions: tuple[EditRegion, ...]
    """Numbered from 0. Boxes around what was removed are the source picture's, in the same
    thousandths; empty if nothing of what the instruction names was found."""
    usage: TeacherUsage = Field(repr=False)


def ground_all(
    edits: Iterable[LabelledEdit],
    config: TeacherConfig,
    ledger: Path,
    *,
    total: int | None = None,
) -> Iterator[Grounding | Rejected]:
    """Ask for boxes, lazily and in order; arguments, errors and limits are ``annotate_all``'s.

    A ``Rejected`` says why there is no second opinion; the edit itself may be as good as any.
    """
    return _closing(ask_in_order(edits, _ground, config, ledger, total=total))


def _closing(
    results: Iterator[tuple[Grounding | Rejected, TeacherUsage]],
) -> Iterator[Grounding | Rejected]:
    with closing(results):
        for result, _ in results:
            yield result


async def _ground(asker: Asker, edit: LabelledEdit, tally: Tally) -> Grounding | Rejected:
    def rejected(reason: str, detail: str) -> Rejected:
        return Rejected(id=edit.id, reason=reason, detail=detail, origin=edit.origin)

    if edit.label is not None:
        return rejected(NOTHING_TO_GROUND, "it is labelled already")
    if edit.edited is None or not edit.sources:
        return rejected(NOTHING_TO_GROUND, "there are not two pictures to compare")
    try:
        pictures = await asyncio.to_thread(EditPictures.of, edit, asker.config.pictures)
    except InvalidInputError as error:
        return rejected("unreadable picture", str(error))
    try:
        text = prompts.GROUND.format(
            instruction=prompts.quoted(edit.instruction),
            language=prompts.LANGUAGES[asker.config.language],
        )
        question = Question(
            stage="ground", edit=edit.id, parts=(*pictures.plain, text), form=GroundingAnswer
        )
        answer = await asker.ask(question, tally)
    except ChatFault as fault:
        return rejected(reason_of(fault), fault.detail)
    return Grounding(id=edit.id, regions=_regions(answer), usage=tally.usage)


def _regions(answer: GroundingAnswer) -> tuple[EditRegion, ...]:
    """The boxes as regions; one that is named in both pictures counts once."""
    labels: dict[tuple[int, ...], str] = {}
    for region in answer.regions:
        labels.setdefault(region.bbox_2d, region.label)
    return tuple(
        EditRegion(id=number, label=label, bbox_2d=box)
        for number, (box, label) in enumerate(labels.items())
    )
