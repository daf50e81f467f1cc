"""Checks a row's pictures, which are decoded here once, and its text."""

import re
from typing import NamedTuple

from PIL import Image

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.filters.config import PictureLimits
from spatialreward.data.filters.fingerprints import fingerprint
from spatialreward.data.filters.reasons import Finding, Reason
from spatialreward.errors import InvalidInputError
from spatialreward.images import MAX_INSTRUCTION_CHARACTERS, check_instruction, decode_image

# ``decode_image`` refuses these from the header alone, with these words.
_TOO_LARGE = re.compile(r"more than the [\d,]+ pixels allowed$")
_TOO_LONG = re.compile(r"one side longer than \d+ times the other$")
# And ``check_instruction``'s.
_EMPTY = "is empty"
_TOO_MANY_CHARACTERS = re.compile(r"more than the [\d,]+ allowed$")


class Pictures(NamedTuple):
    """An edit's pictures, upright RGB."""

    sources: tuple[Image.Image, ...]
    edited: Image.Image | None

    def fingerprints(self) -> tuple[str, ...]:
        """Perceptual hashes of the sources and then of the edited picture."""
        pictures = self.sources if self.edited is None else (*self.sources, self.edited)
        return tuple(fingerprint(picture) for picture in pictures)


def open_pictures(edit: LabelledEdit, limits: PictureLimits) -> Pictures | Finding:
    """Decode the pictures of a row, each once; returns a finding for an unusable one."""
    sources = []
    for number, data in enumerate(edit.sources):
        name = "source" if len(edit.sources) == 1 else f"source {number}"
        picture = open_picture(data, name, limits)
        if isinstance(picture, Finding):
            return picture
        sources.append(picture)
    if edit.edited is None:
        return Pictures(tuple(sources), None)
    edited = open_picture(edit.edited, "edited", limits)
    if isinstance(edited, Finding):
        return edited
    return Pictures(tuple(sources), edited)


def open_picture(data: bytes, name: str, limits: PictureLimits) -> Image.Image | Finding:
    """Decode one picture file, or return a finding; ``name`` identifies it in the reason.

    A picture with too many pixels is refused by its header, without decoding.
    """
    try:
        picture = decode_image(data, name, max_pixels=limits.max_pixels)
    except InvalidInputError as error:
        return Finding(_reason_for(str(error)), str(error))
    width, height = picture.size
    size = f"picture {name}: {width} x {height} pixels"
    if min(width, height) < limits.min_side:
        return Finding(
            Reason.PICTURE_TOO_SMALL, f"{size}, expected {limits.min_side} a side at least"
        )
    if max(width, height) > limits.max_aspect * min(width, height):
        return Finding(
            Reason.PICTURE_TOO_LONG,
            f"{size}, one side longer than {limits.max_aspect:g} times the other",
        )
    return picture


def check_text(
    instruction: str, max_characters: int = MAX_INSTRUCTION_CHARACTERS
) -> Finding | None:
    """The finding against an instruction after ``check_instruction``; None if usable.

    Control characters and special tokens of a chat template make an instruction unusable.
    """
    try:
        text = check_instruction(instruction)
    except InvalidInputError as error:
        return Finding(_reason_for_text(str(error)), str(error))
    if len(text) > max_characters:
        return Finding(
            Reason.INSTRUCTION_TOO_LONG,
            f"instruction: has {len(text):,} characters, more than the {max_characters:,} allowed",
        )
    return None


def _reason_for(message: str) -> Reason:
    if _TOO_LARGE.search(message):
        return Reason.PICTURE_TOO_LARGE
    if _TOO_LONG.search(message):
        return Reason.PICTURE_TOO_LONG
    return Reason.UNREADABLE_PICTURE


def _reason_for_text(message: str) -> Reason:
    if message.endswith(_EMPTY):
        return Reason.NO_INSTRUCTION
    if _TOO_MANY_CHARACTERS.search(message):
        return Reason.INSTRUCTION_TOO_LONG
    return Reason.UNUSABLE_INSTRUCTION
