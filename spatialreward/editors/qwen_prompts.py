"""Instructions and pictures as Qwen-Image-Edit's text encoder, Qwen2.5-VL, reads them."""

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
"""Of the template's beginning, whose features the editor does not see."""
_SYSTEM = (
    "Describe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. "
    "Generate a new image that meets the user's requirements while maintaining consistency with "
    "the original input where appropriate."
)
_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


class PictureProcessor(Qwen2VLProcessor):
    """``Qwen2VLProcessor`` without its part for videos, which needs torchvision.

    Pictures, texts and their tokens are prepared by the code of ``Qwen2VLProcessor`` itself.
    """

    def __init__(
        self,
        image_processor: Qwen2VLImageProcessorPil,
        tokenizer: "PreTrainedTokenizerBase",
        chat_template: str | None = None,
    ) -> None:
        """Take the parts; transformers reads off this signature which they are."""
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id, self.video_token_id = tokenizer.convert_tokens_to_ids(
            [self.image_token, self.video_token]
        )
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read tokenizer and image processor.

        Raises:
            InvalidInputError: one of them cannot be read.
        """
        try:
            pictures = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:
            # The tokenizers' own errors have no type but this one.
            problem = " ".join(str(error).split())
            raise InvalidInputError(f"{folder}: tokenizer or image processor: {problem}") from error
        return cls(pictures, tokenizer)

    def inputs_of(
        self, instruction: str, pictures: Sequence[Image.Image], *, numbered: bool
    ) -> "BatchFeature":
        """What the text encoder takes for one task.

        Args:
            instruction: what is to be edited.
            pictures: its sources.
            numbered: whether each picture is named ``Picture k: `` before it.
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
