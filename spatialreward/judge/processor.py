"""From pictures and prompts to model inputs, the same in training, evaluation and serving."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from PIL import Image

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessorPil

IGNORED_LABEL = -100
_IMAGE_TOKEN = "<|image_pad|>"


class Question(NamedTuple):
    """What a model is shown: pictures first, then words."""

    pictures: tuple[Image.Image, ...]
    prompt: str


class Processor:
    """Tokenizer, chat template and image processor of one checkpoint.

    Stands in for ``Qwen3VLProcessor``, whose video part needs torchvision.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerFast",
        image_processor: "Qwen2VLImageProcessorPil",
        square_side: int | None,
    ) -> None:
        """Take the parts; ``square_side`` as in the protocol."""
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.square_side = square_side

    @classmethod
    def load(cls, folder: Path, square_side: int | None) -> Self:
        """Read tokenizer, chat template and image processor of a checkpoint."""
        from transformers import AutoTokenizer, Qwen2VLImageProcessorPil

        return cls(
            AutoTokenizer.from_pretrained(folder, local_files_only=True),
            Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True),
            square_side,
        )

    def save(self, folder: Path) -> None:
        """Write tokenizer, chat template and image processor into a checkpoint."""
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)

    def encode(
        self, questions: Sequence[Question], answers: Sequence[str] | None = None
    ) -> dict[str, "torch.Tensor"]:
        """Left-padded model inputs; with ``answers`` also ``labels`` that cover them alone."""
        import torch

        pictures = [self._resized(one) for question in questions for one in question.pictures]
        visual = self.image_processor(images=pictures, return_tensors="pt")
        merge = self.image_processor.merge_size**2
        counts = iter((visual["image_grid_thw"].prod(dim=1) // merge).tolist())
        prompts = [self._tokens(self._prompt(question, counts)) for question in questions]
        endings = [self._tokens(answer + "<|im_end|>") for answer in answers or ()]
        rows = [
            prompt + ending
            for prompt, ending in zip(prompts, endings or [[]] * len(prompts), strict=True)
        ]
        length = max(len(row) for row in rows)
        padding = self.tokenizer.pad_token_id
        input_ids = torch.tensor([[padding] * (length - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        image_token = self.tokenizer.convert_tokens_to_ids(_IMAGE_TOKEN)
        inputs = {
            "input_ids": input_ids,
            "attention_mask": mask,
            "mm_token_type_ids": (input_ids == image_token).int(),
            "pixel_values": visual["pixel_values"],
            "image_grid_thw": visual["image_grid_thw"],
        }
        if endings:
            inputs["labels"] = torch.tensor(
                [[IGNORED_LABEL] * (length - len(ending)) + ending for ending in endings]
            )
        return inputs

    def _resized(self, picture: Image.Image) -> Image.Image:
        if self.square_side is None or picture.size == (self.square_side, self.square_side):
            return picture
        return picture.resize((self.square_side, self.square_side), Image.Resampling.BOX)

    def _prompt(self, question: Question, counts: "Sequence[int]") -> str:
        content = [{"type": "image"} for _ in question.pictures]
        content.append({"type": "text", "text": question.prompt})
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        pieces = text.split(_IMAGE_TOKEN)
        grown = pieces[0]
        for piece in pieces[1:]:
            grown += _IMAGE_TOKEN * next(counts) + piece
        return grown

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]
