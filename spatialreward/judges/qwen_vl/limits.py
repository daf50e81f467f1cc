"""Checks whether a checkpoint supports its protocol: picture sizes, and longest answer."""

from typing import TYPE_CHECKING

from PIL import Image

from spatialreward.errors import InvalidInputError
from spatialreward.judges.questions import Question
from spatialreward.protocol.prompts import Protocol, Slot, fill

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from spatialreward.judges.qwen_vl.processor import Processor

_POSITIONS = "max_position_embeddings"


def check_limits(
    protocol: Protocol, place: str, config: "PretrainedConfig", processor: "Processor"
) -> None:
    """Compare a protocol's limits with those of model, tokenizer and image processor.

    The longest answer must fit after the SC prompt with two pictures of the largest size that the
    protocol shows, or of the smallest one if it has no limit. Instructions and further source
    pictures come on top.

    Args:
        protocol: the checkpoint's protocol.
        place: origin of the protocol, such as its file; messages begin with it.
        config: the checkpoint's ``config.json``.
        processor: of the checkpoint.

    Raises:
        InvalidInputError: a limit is exceeded; the message names the field.
    """
    _check_pictures(protocol, place, processor)
    own, most = processor.image_processor, protocol.max_answer_tokens
    positions = getattr(config.get_text_config(), _POSITIONS)
    room = positions - _num_words(protocol, processor)
    reads = f"({_POSITIONS} in config.json is {positions:,})"
    smallest = 2 * _visual_tokens(own.size["shortest_edge"], processor)
    if room < smallest + most:
        raise InvalidInputError(
            f"{place}: max_answer_tokens: expected {max(room - smallest, 0):,} at most, which is "
            f"what the model can read behind the prompt and two pictures {reads}, got {most:,}"
        )
    if protocol.square_side is not None:
        field, value = "square_side", protocol.square_side
        largest = 2 * _visual_tokens(value**2, processor)
    elif protocol.max_pixels is not None:
        field, value = "max_pixels", protocol.max_pixels
        largest = 2 * _visual_tokens(min(value, own.size["longest_edge"]), processor)
    else:
        return
    if room < largest + most:
        raise InvalidInputError(
            f"{place}: {field}: with {value:,} two pictures take {largest:,} tokens, expected "
            f"{room - most:,} at most beside the prompt and the longest answer {reads}"
        )


def _visual_tokens(pixels: int, processor: "Processor") -> int:
    own = processor.image_processor
    return pixels // (own.patch_size * own.merge_size) ** 2


def _check_pictures(protocol: Protocol, place: str, processor: "Processor") -> None:
    """Check that the image processor keeps pictures in the protocol's size."""
    own = processor.image_processor
    least, most = own.size["shortest_edge"], own.size["longest_edge"]
    file = "the checkpoint's preprocessor_config.json"
    if protocol.square_side is not None:
        side, step = protocol.square_side, own.patch_size * own.merge_size
        if side % step:
            raise InvalidInputError(
                f"{place}: square_side: expected a multiple of {step}, patch_size times "
                f"merge_size in {file}, got {side}"
            )
        if not least <= side**2 <= most:
            raise InvalidInputError(
                f"{place}: square_side: expected pictures of {least:,} to {most:,} pixels, as "
                f"{file} has them, got {side} x {side}"
            )
    elif protocol.max_pixels is not None and protocol.max_pixels < least:
        raise InvalidInputError(
            f"{place}: max_pixels: expected {least:,} at least, as many as {file} gives the "
            f"smallest picture, got {protocol.max_pixels:,}"
        )


def _num_words(protocol: Protocol, processor: "Processor") -> int:
    """Tokens of the SC prompt without its instruction and pictures."""
    blank = (Image.new("RGB", (1, 1)),)
    parts = fill(protocol.semantic_parts(""), {Slot.SOURCE: blank, Slot.EDITED: blank})
    question = Question(parts, system=protocol.system)
    return len(processor.following(protocol).prompt_tokens(question, iter((0, 0))))
