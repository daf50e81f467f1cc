"""Pictures as a teacher gets them: scaled down, encoded, and with numbered boxes where asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from PIL import Image

from spatialreward.chat.config import PicturesSent
from spatialreward.chat.pictures import SentPicture, encoded, shrunk
from spatialreward.data.edits import LabelledEdit
from spatialreward.data.teacher import prompts
from spatialreward.images import decode_image
from spatialreward.records import EditRegion
from spatialreward.visuals.regions import draw_regions

_SMALLEST_TAG = 14


@dataclass(frozen=True)
class EditPictures:
    """An edit's pictures, opened once for all that is asked about it."""

    plain: tuple[str | SentPicture, ...]
    """Sources and edited picture, each behind a line that says what it is."""
    edited: Image.Image
    form: PicturesSent

    @classmethod
    def of(cls, edit: LabelledEdit, form: PicturesSent) -> Self:
        """The pictures of an edit that has an edited one.

        Raises:
            InvalidInputError: one of them cannot be read; says which.
        """
        assert edit.edited is not None, "edits without an edited picture are not asked about"
        parts: list[str | SentPicture] = []
        for number, source in enumerate(edit.sources):
            opened = _opened(source, f"source {number} of edit {edit.id}", form)
            parts += [prompts.SOURCE, encoded(opened, form)]
        edited = _opened(edit.edited, f"edited picture of edit {edit.id}", form)
        return cls((*parts, prompts.EDITED, encoded(edited, form)), edited, form)

    def with_boxes(self, regions: Sequence[EditRegion]) -> tuple[str | SentPicture, ...]:
        """All pictures, and the edited one once more with its numbered boxes if there are any."""
        if not regions:
            return self.plain
        numbered = [region.model_copy(update={"label": ""}) for region in regions]
        text_size = max(_SMALLEST_TAG, max(self.edited.size) // 40)
        boxed = draw_regions(self.edited, numbered, text_size=text_size)
        return (*self.plain, prompts.BOXED, encoded(boxed, self.form))


def _opened(data: bytes, name: str, form: PicturesSent) -> Image.Image:
    """Decode a picture file at the size in which it is sent.

    Raises:
        InvalidInputError: it is no picture that can be used; names ``name``.
    """
    return shrunk(decode_image(data, name), form)
