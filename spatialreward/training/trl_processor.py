"""A judge's processor in the form that TRL's trainers take."""

from transformers import Qwen3VLProcessor

from spatialreward.judges.qwen_vl.processor import Processor


class TrlProcessor(Qwen3VLProcessor):
    """Tokenizer, image processor and chat template, without the video part that needs torchvision.

    Pictures must already have the protocol's size: ``Processor.resized``.
    """

    # transformers reads a processor's parts from this signature.
    def __init__(self, image_processor=None, tokenizer=None, chat_template=None) -> None:
        """Use the parts from ``trl_processor``."""
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        super(Qwen3VLProcessor, self).__init__(
            image_processor, tokenizer, chat_template=chat_template
        )


def trl_processor(processor: Processor, chat_template: str | None = None) -> TrlProcessor:
    """The same parts, with prompts padded on the left.

    TRL always pads a prompt's token ids on the left, but the accompanying tensors as the tokenizer
    does: on the right, pictures would silently get positions of words.

    Args:
        processor: following a protocol.
        chat_template: replaces the protocol's or the tokenizer's own.
    """
    assert processor.tokenizer.padding_side == "left"
    template = chat_template or processor.chat_template or processor.tokenizer.chat_template
    return TrlProcessor(processor.image_processor, processor.tokenizer, template)
