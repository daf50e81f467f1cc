"""The oracle as a judge: it knows how each task was generated, and reads the edited picture.

It judges edits with a ``truth`` from the generated world, from any editor.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.judges.interface import check_edits
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import JudgeIdentity, Judgement
from spatialreward.world.labelling import known_world
from spatialreward.world.oracle import oracle_judgement


class Oracle:
    """A perfect judge; its scores cover both streams, as written."""

    identity = JudgeIdentity(name="oracle", version="1", aggregation=Aggregation().form)
    notice = "the generated world's oracle; it knows how each task was made"

    def __init__(self, photos: Path | None = None) -> None:
        """Use the folder of photographs behind some of the edits, if there are any.

        Raises:
            InvalidInputError: there is no such folder.
        """
        if photos is not None and not photos.is_dir():
            raise InvalidInputError(f"photographs {photos}: there is no such folder")
        self._photos = photos

    def judge(self, edits: Iterable[Edit]) -> list[Judgement]:
        """One judgement an edit, in order; failed for an edit without a truth of the world.

        Raises:
            InvalidInputError: an element of ``edits`` is not an edit.
        """
        return [self._judge_or_fail(*numbered) for numbered in enumerate(check_edits(edits))]

    def close(self) -> None:
        """Hold nothing."""

    def __enter__(self) -> Self:
        """The judge itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """See ``close``."""

    def _judge_or_fail(self, number: int, edit: Edit) -> Judgement:
        try:
            world = known_world(edit.truth)
            judgement = oracle_judgement(world, edit.edited, self._photos)
        except InvalidInputError as error:
            reason = f"edit {edit.id or number}: {error}"
            judgement = Judgement.failed(reason, Failure.BAD_INPUT)
        return judgement.model_copy(update={"judged_by": str(self.identity)})
