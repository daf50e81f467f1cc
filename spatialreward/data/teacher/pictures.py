"""Pictures as a teacher gets them: scaled down, encoded, and with numbered boxes where asked."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from PIL import Image

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.teacher import prompts
from spatialreward.data.teacher.config import PicturesSent
from spatialreward.images import decode_image
from spatialreward.records import EditRegion
from spatialreward.visuals.regions import draw_regions

_SMALLEST_TAG = 14
_PIXELS_A_TOKEN = 750
"""About what the large providers charge; Qwen's family takes 784 or 1,024 pixels."""


@dataclass(frozen=True)
class SentPicture:
    """A picture in a question."""

    url: str = field(repr=False)
    """``data:`` URL with the encoded picture."""
    size: tuple[int, int]
    """Width and height in pixels."""

    @property
    def estimated_tokens(self) -> int:
        """What it adds to a prompt, for limits and for servers that do not say."""
        return 85 + self.size[0] * self.size[1] // _PIXELS_A_TOKEN


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
            parts += [prompts.SOURCE, _encoded(opened, form)]
        edited = _opened(edit.edited, f"edited picture of edit {edit.id}", form)
        return cls((*parts, prompts.EDITED, _encoded(edited, form)), edited, form)

    def with_boxes(self, regions: Sequence[EditRegion]) -> tuple[str | SentPicture, ...]:
        """All pictures, and the edited one once more with its numbered boxes if there are any."""
        if not regions:
            return self.plain
        numbered = [region.model_copy(update={"label": ""}) for region in regions]
        text_size = max(_SMALLEST_TAG, max(self.edited.size) // 40)
        boxed = draw_regions(self.edited, numbered, text_size=text_size)
        return (*self.plain, prompts.BOXED, _encoded(boxed, self.form))


def _opened(data: bytes, name: str, form: PicturesSent) -> Image.Image:
    """Decode a picture file at the size in which it is sent.

    Raises:
        InvalidInputError: it is no picture that can be used; names ``name``.
    """
    picture = decode_image(data, name)
    picture.thumbnail((form.longest_side, form.longest_side), Image.Resampling.LANCZOS)
    return picture


def _encoded(picture: Image.Image, form: PicturesSent) -> SentPicture:
    """A picture in the form in which it is sent."""
    buffer = io.BytesIO()
    match form.format:
        case "jpeg":
            picture.save(buffer, "JPEG", quality=form.jpeg_quality, subsampling=0)
        case "png":
            picture.save(buffer, "PNG")
        case "webp":
            picture.save(buffer, "WEBP", lossless=True)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return SentPicture(f"data:image/{form.format};base64,{text}", picture.size)
