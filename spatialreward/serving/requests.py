"""Converts the tensors of a request to edits, and judgements to the tensors of a response."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from PIL import Image
from pydantic import ValidationError

from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.images import SERVED_FORMATS, check_instruction, decode_image, picture_size
from spatialreward.records import (
    REQUEST_TENSORS,
    RESPONSE_TENSORS,
    Judgement,
    JudgingOptions,
)
from spatialreward.serving.config import ServingConfig
from spatialreward.serving.faults import InvalidRequest

_OPTIONS = {"STREAMS": "streams", "REWARD_FROM": "scores", "PRIORITY": "priority", "SEED": "seed"}
_NO_SEED = -1
_BYTES_A_PIXEL = 4
"""Bytes per decoded pixel: Pillow pads RGB."""


class EncodedEdit(NamedTuple):
    """One edit as received."""

    sources: tuple[bytes, ...]
    edited: bytes
    instruction: bytes
    options: JudgingOptions

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """All picture files."""
        return (*self.sources, self.edited)

    @property
    def num_bytes(self) -> int:
        """Size as received."""
        return sum(map(len, self.pictures)) + len(self.instruction)


def read_request(tensors: Mapping[str, np.ndarray], limits: ServingConfig) -> list[EncodedEdit]:
    """The edits of a request.

    Args:
        tensors: by name, each ``[B, ...]``; optional ones may be missing.
        limits: the accepted sizes.

    Raises:
        InvalidRequest: tensors do not fit together, an option is invalid, or a limit is exceeded.
    """
    count = _count(tensors, limits)
    sources = tensors["SOURCE"].reshape(count, -1)
    if not 1 <= sources.shape[1] <= limits.max_sources:
        raise InvalidRequest(
            f"SOURCE: expected 1 to {limits.max_sources} source pictures an edit, "
            f"got {sources.shape[1]}"
        )
    edited, instructions = (tensors[name].reshape(count) for name in ("EDITED", "INSTRUCTION"))
    options = [_options(tensors, number) for number in range(count)]
    edits = [
        EncodedEdit(tuple(sources[number]), edited[number], instructions[number], options[number])
        for number in range(count)
    ]
    size = sum(edit.num_bytes for edit in edits)
    if size > limits.max_request_bytes:
        raise InvalidRequest(
            f"the request holds {size:,} bytes, more than the {limits.max_request_bytes:,} allowed"
        )
    return edits


def decoded_bytes(edits: Sequence[EncodedEdit], limits: ServingConfig) -> int:
    """Upper bound for the decoded pictures of a request, from their headers.

    An unusable picture counts zero: its edit fails before decoding.
    """
    pixels = 0
    for data in {data for edit in edits for data in edit.pictures}:
        with suppress(InvalidInputError):
            pixels += _num_pixels("of the request", data, limits)
    return _BYTES_A_PIXEL * min(pixels, limits.max_request_pixels)


def held_bytes(edits: Sequence[Edit]) -> int:
    """Size of the pictures of decoded edits."""
    pictures = {id(picture): picture for edit in edits for picture in (*edit.sources, edit.edited)}
    return _BYTES_A_PIXEL * sum(one.width * one.height for one in pictures.values())


def decode_edit(
    edit: EncodedEdit, limits: ServingConfig, pictures: dict[bytes, Image.Image]
) -> Edit:
    """Decode an edit's pictures and check its instruction.

    Args:
        edit: as received.
        limits: the accepted sizes.
        pictures: the request's pictures decoded so far; new ones are added.

    Raises:
        InvalidInputError: one of them is unusable; the message names it.
    """
    try:
        instruction = check_instruction(edit.instruction.decode())
    except UnicodeDecodeError as error:
        raise InvalidInputError("instruction: is not UTF-8 text") from error
    names = ["source picture", *(f"source picture {n}" for n in range(2, len(edit.sources) + 1))]
    files = [*zip((*names, "edited picture"), (*edit.sources, edit.edited), strict=True)]
    for name, data in files:
        if data not in pictures:
            total = _num_pixels(name, data, limits)
            total += sum(one.width * one.height for one in pictures.values())
            if total > limits.max_request_pixels:
                raise InvalidInputError(
                    f"picture {name}: the request's pictures have {total:,} pixels with it, more "
                    f"than the {limits.max_request_pixels:,} allowed"
                )
            pictures[data] = decode_image(
                data, name, max_pixels=limits.max_pixels, formats=SERVED_FORMATS
            )
    first, *others, edited = (pictures[data] for _, data in files)
    return Edit(first, edited, instruction, tuple(others), edit.options)


def write_response(judgements: Sequence[Judgement], model: str, version: str) -> list[np.ndarray]:
    """The tensors of a response, in the order of ``RESPONSE_TENSORS``."""
    columns = {
        "REWARD": [_number(one.reward) for one in judgements],
        "SCORES": [_scores(one) for one in judgements],
        "STATUS": [one.status.value.encode() for one in judgements],
        "JUDGEMENT": [one.model_dump_json().encode() for one in judgements],
        "MODEL": [model.encode()] * len(judgements),
        "VERSION": [version.encode()] * len(judgements),
    }
    return [
        np.array(columns[spec.name], np.float32 if spec.datatype == "FP32" else object).reshape(
            len(judgements), *spec.dims
        )
        for spec in RESPONSE_TENSORS
    ]


def _count(tensors: Mapping[str, np.ndarray], limits: ServingConfig) -> int:
    for spec in REQUEST_TENSORS:
        if spec.name not in tensors and not spec.optional:
            raise InvalidRequest(f"{spec.name}: missing")
    counts = {name: len(tensor) for name, tensor in tensors.items()}
    count = counts["EDITED"]
    if len(set(counts.values())) != 1:
        raise InvalidRequest(f"expected as many edits in each tensor, got {counts}")
    if not 1 <= count <= limits.max_request_edits:
        raise InvalidRequest(f"expected 1 to {limits.max_request_edits} edits, got {count}")
    return count


def _options(tensors: Mapping[str, np.ndarray], number: int) -> JudgingOptions:
    given = {}
    for name, field in _OPTIONS.items():
        if name not in tensors:
            continue
        value = tensors[name].reshape(-1)[number]
        value = value.decode(errors="replace") if isinstance(value, bytes) else int(value)
        if name != "SEED" or value != _NO_SEED:
            given[field] = value
    try:
        return JudgingOptions.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = next(name for name, field in _OPTIONS.items() if field == first["loc"][0])
        raise InvalidRequest(f"{name} of edit {number}: {first['msg']}") from error


def _num_pixels(name: str, data: bytes, limits: ServingConfig) -> int:
    if len(data) > limits.max_picture_bytes:
        raise InvalidInputError(
            f"picture {name}: {len(data):,} bytes, more than the "
            f"{limits.max_picture_bytes:,} bytes allowed"
        )
    width, height = picture_size(data, name, max_pixels=limits.max_pixels, formats=SERVED_FORMATS)
    return width * height


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _scores(judgement: Judgement) -> list[float]:
    if judgement.scores is None:
        return [float("nan")] * 4
    return [_number(score) for score in judgement.scores.model_dump().values()]
