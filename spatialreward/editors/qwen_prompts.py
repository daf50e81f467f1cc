"""Instructions and pictures for Qwen2.5-VL, Qwen-Image-Edit's text encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from PIL import Image
from transformers import AutoTokenizer, Qwen2VLImageProcessorPil, Qwen2VLProcessor
from transformers.processing_utils import ProcessorMixin

from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from transformers import BatchFeature, PreTrainedTokenizerBase

DROPPED_TOKENS = 64
"""Number of tokens in the template's prefix, whose features the editor drops."""
_SYSTEM = (
    "Describe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. "
    "Generate a new image that meets the user's requirements while maintaining consistency with "
    "the original input where appropriate."
)
_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


class PictureProcessor(Qwen2VLProcessor):
    """``Qwen2VLProcessor`` without its part for videos, which needs torchvision.

    ``Qwen2VLProcessor``'s own code prepares pictures, texts and their tokens.
    """

    def __init__(
        self,
        image_processor: Qwen2VLImageProcessorPil,
        tokenizer: "PreTrainedTokenizerBase",
        chat_template: str | None = None,
    ) -> None:
        """Use loaded parts; transformers reads their names from this signature."""
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id, self.video_token_id = tokenizer.convert_tokens_to_ids(
            [self.image_token, self.video_token]
        )
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load tokenizer and image processor.

        Raises:
            InvalidInputError: one of them is unreadable.
        """
        try:
            pictures = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:
            # The tokenizers library raises this bare type.
            problem = " ".join(str(error).split())
            raise InvalidInputError(f"{folder}: tokenizer or image processor: {problem}") from error
        return cls(pictures, tokenizer)

    def inputs_of(
        self, instruction: str, pictures: Sequence[Image.Image], *, numbered: bool
    ) -> "BatchFeature":
        """The text encoder's input for one task.

        Args:
            instruction: the requested change.
            pictures: its sources.
            numbered: whether to put ``Picture k: `` before each picture.
        """
        shown = "".join(
            (f"Picture {number}: " if numbered else "") + _PICTURE
            for number in range(1, len(pictures) + 1)
        )
        text = (
            f"<|im_start|>system\n{_SYSTEM}<|im_end|>\n"
            f"<|im_start|>user\n{shown}{instruction}<|im_end|>\n<|im_start|>assistant\n"
        )
        return self(text=[text], images=list(pictures), padding=True, return_tensors="pt")
