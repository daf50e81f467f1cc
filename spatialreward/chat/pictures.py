"""Pictures for a server: scaled down and encoded as ``data:`` URLs."""

import base64
import io
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from spatialreward.chat.config import PicturesSent

_PIXELS_A_TOKEN = 750
"""Approximate rate of the large providers; Qwen's family uses 784 or 1,024 pixels."""


@dataclass(frozen=True)
class SentPicture:
    """A picture in a question."""

    url: str = field(repr=False)
    """``data:`` URL with the encoded picture."""
    size: tuple[int, int]
    """Width and height in pixels."""

    @property
    def estimated_tokens(self) -> int:
        """Its tokens in a prompt, for limits and for servers that do not report them."""
        return 85 + self.size[0] * self.size[1] // _PIXELS_A_TOKEN


def shrunk(picture: Image.Image, form: PicturesSent) -> Image.Image:
    """A picture in the size for sending: itself, or a smaller copy."""
    if max(picture.size) <= form.longest_side:
        return picture
    smaller = picture.copy()
    smaller.thumbnail((form.longest_side, form.longest_side), Image.Resampling.LANCZOS)
    return smaller


def encoded(picture: Image.Image, form: PicturesSent) -> SentPicture:
    """Encode a picture for sending."""
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


def content_part(part: str | SentPicture, form: PicturesSent) -> dict[str, Any]:
    """Text or a picture as a part of a message."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    picture = {"url": part.url}
    if form.detail is not None:
        picture["detail"] = form.detail
    return {"type": "image_url", "image_url": picture}
