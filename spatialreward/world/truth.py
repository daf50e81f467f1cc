"""The truth about an edit with known scenes: changes, whether they were requested, and scores.

Editing success is the mean credit over the requests. Credit for one cell: 1 if it holds exactly the
requested object, 0 if it is unchanged or wrongly emptied, and 0.2 + 0.6 x (share of the requested
attributes that are right) if the right object was changed in a wrong way. Every change that was not
requested costs 8 points of over-editing.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from spatialreward.records import BOX_SCALE, MAX_SCORE, EditRegion, Record, Scores
from spatialreward.world.artifacts import Artifact, fault_words, perceptual_scores
from spatialreward.world.operations import ChangeBackground, Operation, apply, cells_of
from spatialreward.world.scene import Box, Cell, Scene, SceneObject, object_box, union

Verdict = Literal["as asked", "partly as asked", "wrong", "not asked"]

EXTRA_CHANGE_COST = 8.0
_WHOLE_PICTURE: Box = (0, 0, BOX_SCALE, BOX_SCALE)
_ATTRIBUTES = ("shape", "colour", "size")


class Change(Record):
    """One difference between two scenes."""

    box: Box
    cell: Cell | None
    """None for the background."""
    before: str
    """The previous content, in words; ``nothing`` for an empty cell."""
    after: str
    verdict: Verdict


class Truth(Record):
    """The full truth about one edit."""

    changes: tuple[Change, ...]
    asked: int = Field(ge=1)
    """Number of requests in the instruction."""
    done: int = Field(ge=0)
    """Number of completely fulfilled requests."""
    artifact: Artifact | None
    scores: Scores

    @property
    def fault(self) -> str:
        """The picture's artifact, in words; empty if there is none."""
        return fault_words(self.artifact, self.scores.artifact_freedom)

    @property
    def regions(self) -> tuple[EditRegion, ...]:
        """The changes as edit regions; labels give the current content, or the previous one."""
        return tuple(
            EditRegion(id=number, label=label_of(change), bbox_2d=change.box)
            for number, change in enumerate(self.changes)
        )


def label_of(change: Change) -> str:
    """A region's label: the current content, or the previous one if empty."""
    return change.before if change.after == "nothing" else change.after


def truth_of(
    source: Scene, operations: Sequence[Operation], edited: Scene, artifact: Artifact | None
) -> Truth:
    """Compare the requests with the result."""
    desired = source
    for operation in operations:
        desired = apply(desired, operation)
    credits = [_credit(operation, source, desired, edited) for operation in operations]
    changes = _changes(source, operations, desired, edited)
    extra = sum(change.verdict == "not asked" for change in changes)
    naturalness, freedom = perceptual_scores(artifact)
    return Truth(
        changes=changes,
        asked=len(operations),
        done=sum(credit == 1.0 for credit in credits),
        artifact=artifact,
        scores=Scores(
            editing_success=round(MAX_SCORE * sum(credits) / len(credits)),
            over_editing=max(0.0, MAX_SCORE - EXTRA_CHANGE_COST * extra),
            naturalness=naturalness,
            artifact_freedom=freedom,
        ),
    )


def _credit(operation: Operation, source: Scene, desired: Scene, edited: Scene) -> float:
    if isinstance(operation, ChangeBackground):
        if edited.background == operation.background:
            return 1.0
        return 0.0 if edited.background == source.background else 0.2
    cells = cells_of(operation)
    return sum(_cell_credit(source, desired, edited, cell) for cell in cells) / len(cells)


def _cell_credit(source: Scene, desired: Scene, edited: Scene, cell: int) -> float:
    before, wanted, got = (scene.objects.get(cell) for scene in (source, desired, edited))
    if got == wanted:
        return 1.0
    if got == before or got is None or wanted is None:
        return 0.0
    asked = [name for name in _ATTRIBUTES if _attribute(before, name) != _attribute(wanted, name)]
    right = sum(_attribute(got, name) == _attribute(wanted, name) for name in asked)
    return 0.2 + 0.6 * right / len(asked)


def _attribute(thing: SceneObject | None, name: str) -> str | None:
    return None if thing is None else getattr(thing, name)


def _changes(
    source: Scene, operations: Sequence[Operation], desired: Scene, edited: Scene
) -> tuple[Change, ...]:
    changes = []
    if edited.background != source.background:
        changes.append(
            Change(
                box=_WHOLE_PICTURE,
                cell=None,
                before=f"{source.background} background",
                after=f"{edited.background} background",
                verdict=_background_verdict(operations, desired, edited),
            )
        )
    concerned = {cell for operation in operations for cell in cells_of(operation)}
    for cell in sorted(source.objects.keys() | edited.objects.keys()):
        before, after = source.objects.get(cell), edited.objects.get(cell)
        if before == after:
            continue
        boxes = [object_box(cell, thing) for thing in (before, after) if thing is not None]
        changes.append(
            Change(
                box=union(boxes[0], boxes[-1]),
                cell=cell,
                before=str(before or "nothing"),
                after=str(after or "nothing"),
                verdict=_verdict(_cell_credit(source, desired, edited, cell))
                if cell in concerned
                else "not asked",
            )
        )
    return tuple(changes)


def _background_verdict(operations: Sequence[Operation], desired: Scene, edited: Scene) -> Verdict:
    if not any(isinstance(operation, ChangeBackground) for operation in operations):
        return "not asked"
    return "as asked" if edited.background == desired.background else "wrong"


def _verdict(credit: float) -> Verdict:
    if credit == 1.0:
        return "as asked"
    return "partly as asked" if credit >= 0.4 else "wrong"
