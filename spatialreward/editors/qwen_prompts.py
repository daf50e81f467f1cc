"""Instructions and pictures as Qwen-Image-Edit's text encoder, Qwen2.5-VL, reads them."""

from transformers import Qwen2VLImageProcessorPil, Qwen2VLProcessor
from transformers.processing_utils import ProcessorMixin


class PictureProcessor(Qwen2VLProcessor):
    """``Qwen2VLProcessor`` without its part for videos, which needs torchvision.

    Pictures, texts and their tokens are prepared by the code of ``Qwen2VLProcessor`` itself.
    """

    def __init__(self, image_processor=None, tokenizer=None, chat_template=None) -> None:
        """Take the parts; transformers reads off this signature which they are."""
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id, self.video_token_id = tokenizer.convert_tokens_to_ids(
            [self.image_token, self.video_token]
        )
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)
