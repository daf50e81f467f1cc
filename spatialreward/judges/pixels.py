"""A baseline judge without a model: it measures where and how much pixels differ."""

from collections.abc import Iterable
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spatialreward.edits import Edit
from spatialreward.judges.interface import check_edits
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import (
    BOX_SCALE,
    EditRegion,
    JudgeIdentity,
    Judgement,
    JudgementStatus,
    Scores,
)

THRESHOLD = 24.0
"""Smallest difference of a channel, in 0..255, that counts."""


def differing_pixels(edit: Edit) -> NDArray[np.bool_]:
    """Mask of changed pixels in the edited picture, ``[height, width]``.

    Rescales a source of another size to the edited picture; aligns nothing.
    """
    edited = np.asarray(edit.edited, np.float32)
    source = np.asarray(edit.source.resize(edit.edited.size), np.float32)
    return np.abs(edited - source).max(axis=2) > THRESHOLD


class PixelDifference:
    """Scores edits by their pixels alone.

    Regions are the boxes around connected pixels that differ; the larger the changed share of the
    picture, the lower the scores, and an unchanged picture gets no editing success. It ignores
    the instruction.
    """

    identity = JudgeIdentity(name="pixels", version="1", aggregation=Aggregation().form)
    notice = "pixel differences only; the instruction is not read"
    min_share = 0.002
    """Ignore connected components below this share of the picture."""

    def judge(self, edits: Iterable[Edit]) -> list[Judgement]:
        """One judgement an edit, in order.

        Raises:
            InvalidInputError: an element of ``edits`` is not an edit.
        """
        return [self._judge(edit) for edit in check_edits(edits)]

    def close(self) -> None:
        """Hold nothing."""

    def __enter__(self) -> Self:
        """The judge itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """See ``close``."""

    def _judge(self, edit: Edit) -> Judgement:
        differs = differing_pixels(edit)
        regions = self._regions(differs)
        kept = 1.0 - float(differs.mean())
        success = 25.0 if regions else 0.0
        scores = Scores(
            editing_success=success,
            over_editing=25.0 * kept,
            naturalness=25.0 * kept,
            artifact_freedom=25.0 * kept,
        )
        return Judgement(
            status=JudgementStatus.OK,
            regions=regions,
            scores=scores,
            reward=Aggregation().reward(scores),
            judged_by=str(self.identity),
        )

    def _regions(self, differs: NDArray[np.bool_]) -> tuple[EditRegion, ...]:
        height, width = differs.shape
        labels, _ = ndimage.label(differs, structure=np.ones((3, 3)))
        regions = []
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            if (labels[rows, columns] == number).sum() < self.min_share * differs.size:
                continue
            box = (
                columns.start * BOX_SCALE // width,
                rows.start * BOX_SCALE // height,
                -(-columns.stop * BOX_SCALE // width),
                -(-rows.stop * BOX_SCALE // height),
            )
            regions.append(EditRegion(id=len(regions), label="differs", bbox_2d=box))
        return tuple(regions)
