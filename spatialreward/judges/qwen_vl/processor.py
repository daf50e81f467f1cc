"""Converts pictures and prompts to model inputs, for training, evaluation and serving alike."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from PIL import Image

from spatialreward.errors import InvalidInputError
from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl.folder import own_chat_template
from spatialreward.protocol.prompts import Protocol
from spatialreward.protocol.scanning import THOUGHT_BEGINS

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessorPil

IGNORED_LABEL = -100
_IMAGE_TOKEN = "<|image_pad|>"
_PROBE_PX = (64, 64)
_BOX = Image.Resampling.BOX
_BICUBIC = Image.Resampling.BICUBIC


class Processor:
    """Tokenizer, chat template and image processor of one checkpoint.

    Replaces ``Qwen3VLProcessor``, whose video part needs torchvision.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerFast",
        image_processor: "Qwen2VLImageProcessorPil",
        square_side: int | None,
        chat_template: str | None = None,
        max_pixels: int | None = None,
        min_pixels: int | None = None,
    ) -> None:
        """Use loaded parts.

        Args:
            tokenizer: of the checkpoint.
            image_processor: of the checkpoint.
            square_side: resize pictures to squares of this side, as in the protocol.
            chat_template: as in the protocol; None: the tokenizer's own.
            max_pixels: shrink larger pictures, keeping their shape; None: the image processor's
                limit.
            min_pixels: enlarge smaller pictures, keeping their shape; None: the image processor's
                limit.
        """
        self.tokenizer = tokenizer
        self.chat_template = chat_template
        self.image_processor = image_processor
        self.square_side = square_side
        self.max_pixels = max_pixels
        self.min_pixels = min_pixels

    @classmethod
    def load(cls, folder: Path, square_side: int | None) -> Self:
        """Load tokenizer, chat template and image processor of a checkpoint.

        Raises:
            InvalidInputError: a file is unreadable, or there is no image processor.
        """
        from transformers import AutoTokenizer, Qwen2VLImageProcessorPil

        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            pictures = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
            pictures(images=[Image.new("RGB", _PROBE_PX)], return_tensors="pt")
        except Exception as error:
            # The tokenizers library raises this bare type.
            problem = " ".join(str(error).split())
            raise InvalidInputError(f"{folder}: tokenizer or image processor: {problem}") from error
        tokenizer.padding_side = "left"
        if tokenizer.chat_template is None:
            tokenizer.chat_template = own_chat_template(folder)
        return cls(tokenizer, pictures, square_side)

    def following(self, protocol: Protocol) -> "Processor":
        """The same processor with a protocol's picture size and chat template.

        Raises:
            InvalidInputError: neither protocol nor checkpoint has a chat template, or it shows no
                picture.
        """
        if protocol.chat_template is None and self.tokenizer.chat_template is None:
            raise InvalidInputError(
                f"protocol {protocol.name} takes the tokenizer's chat template, and it has none: "
                "expected one in tokenizer_config.json, chat_template.jinja or chat_template.json"
            )
        followed = Processor(
            self.tokenizer,
            self.image_processor,
            protocol.square_side,
            protocol.chat_template,
            protocol.max_pixels,
            protocol.min_pixels,
        )
        followed.check_chat_template("checkpoint" if protocol.chat_template is None else "protocol")
        return followed

    def check_chat_template(self, of: str) -> None:
        """Render the chat template once, before the first edit needs it.

        Args:
            of: the owner of the template.

        Raises:
            InvalidInputError: it is invalid, refuses a prompt, or omits a picture or text.
        """
        from jinja2 import TemplateError

        question = Question(("before", Image.new("RGB", _PROBE_PX), "behind"))
        try:
            text = self._prompt(question, iter((1,)))
        except (TemplateError, ValueError, TypeError, StopIteration) as error:
            problem = " ".join(str(error).split()) or "it shows one picture more than once"
            raise InvalidInputError(f"chat_template of the {of}: {problem}") from error
        if text.count(_IMAGE_TOKEN) != 1 or "before" not in text or "behind" not in text:
            raise InvalidInputError(
                f"chat_template of the {of}: expected each text once and {_IMAGE_TOKEN} for each "
                f"picture, got {text[:200]!r}"
            )

    def save(self, folder: Path) -> None:
        """Write tokenizer, chat template and image processor into a checkpoint."""
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)

    def encode(
        self, questions: Sequence[Question], answers: Sequence[str] | None = None
    ) -> dict[str, "torch.Tensor"]:
        """Left-padded model inputs; with ``answers``, ``labels`` that cover only them."""
        import torch

        visual = self.encode_pictures([one for each in questions for one in each.pictures])
        counts = iter(self.visual_tokens(visual["image_grid_thw"]))
        prompts = [self.prompt_tokens(question, counts) for question in questions]
        endings = [self._tokens(answer + "<|im_end|>") for answer in answers or ()]
        rows = [
            prompt + ending
            for prompt, ending in zip(prompts, endings or [[]] * len(prompts), strict=True)
        ]
        length = max(len(row) for row in rows)
        padding = self.tokenizer.pad_token_id
        input_ids = torch.tensor([[padding] * (length - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        inputs = {
            "input_ids": input_ids,
            "attention_mask": mask,
            "mm_token_type_ids": (input_ids == self.image_token).int(),
            **visual,
        }
        if endings:
            inputs["labels"] = torch.tensor(
                [[IGNORED_LABEL] * (length - len(ending)) + ending for ending in endings]
            )
        return inputs

    @property
    def begins_thought(self) -> bool:
        """Whether the chat template opens a thought, which the answer must then close."""
        return self._prompt(Question(("",)), iter(())).rstrip().endswith(THOUGHT_BEGINS)

    @property
    def image_token(self) -> int:
        """Placeholder token for a part of a picture."""
        return self.tokenizer.convert_tokens_to_ids(_IMAGE_TOKEN)

    def encode_pictures(self, pictures: Sequence[Image.Image]) -> dict[str, "torch.Tensor"]:
        """``pixel_values`` of all pictures' patches, and ``image_grid_thw`` a picture."""
        resized = [self.resized(picture) for picture in pictures]
        visual = self.image_processor(images=resized, return_tensors="pt")
        return {name: visual[name] for name in ("pixel_values", "image_grid_thw")}

    def visual_tokens(self, grids_N3: "torch.Tensor") -> list[int]:
        """Number of tokens of each picture in a prompt."""
        return (grids_N3.prod(dim=1) // self.image_processor.merge_size**2).tolist()

    @property
    def largest_picture_tokens(self) -> int:
        """Number of tokens of the largest picture that the protocol shows."""
        own = self.image_processor
        most = own.size["longest_edge"]
        pixels = self.square_side**2 if self.square_side else min(self.max_pixels or most, most)
        return pixels // (own.patch_size * own.merge_size) ** 2

    def prompt(self, question: Question) -> str:
        """A question's text in the chat template, with one token for each picture."""
        return self._prompt(question, itertools.repeat(1))

    def prompt_tokens(self, question: Question, counts: Iterator[int]) -> list[int]:
        """A question's tokens; ``counts`` yields the visual tokens of its pictures, in order."""
        return self._tokens(self._prompt(question, counts))

    def resized(self, picture: Image.Image) -> Image.Image:
        """A picture in the protocol's size.

        A limit by area keeps the shape, up to a whole number of visual tokens a side; the image
        processor leaves the result unchanged, here and in vLLM.
        """
        if self.square_side is not None:
            side = (self.square_side, self.square_side)
            return picture if picture.size == side else picture.resize(side, _BOX)
        if self.max_pixels is None and self.min_pixels is None:
            return picture
        size = self._within(picture)
        return picture if picture.size == size else picture.resize(size, _BICUBIC)

    def _within(self, picture: Image.Image) -> tuple[int, int]:
        """Width and height by the rule of Qwen's own processors."""
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

        own = self.image_processor
        height, width = smart_resize(
            picture.height,
            picture.width,
            own.patch_size * own.merge_size,
            min_pixels=max(self.min_pixels or 0, own.size["shortest_edge"]),
            max_pixels=min(self.max_pixels or own.size["longest_edge"], own.size["longest_edge"]),
        )
        return width, height

    def _prompt(self, question: Question, counts: Iterator[int]) -> str:
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
            for part in question.parts
        ]
        turns = [{"role": "user", "content": content}]
        if question.system is not None:
            system = [{"type": "text", "text": question.system}]
            turns.insert(0, {"role": "system", "content": system})
        text = self.tokenizer.apply_chat_template(
            turns,
            chat_template=self.chat_template,
            tokenize=False,
            add_generation_prompt=True,
        )
        pieces = text.split(_IMAGE_TOKEN)
        grown = pieces[0]
        for piece in pieces[1:]:
            grown += _IMAGE_TOKEN * next(counts) + piece
        return grown

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]
