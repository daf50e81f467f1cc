"""A tiny judge with random weights: the start of the grounding, and a baseline of evaluations."""

from typing import TYPE_CHECKING

from PIL import Image

from spatialreward.edits import Edit
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.protocol.prompts import TINY
from spatialreward.world import tiny_judge
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.targets import DESCRIBING, Task, answer, question_about

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

_TOKENIZER_SAMPLES = 2_000
_TASKS: tuple[Task, ...] = (*DESCRIBING, "semantic", "perceptual")


def untrained_tiny(
    seed: int, data: DataConfig
) -> tuple["Qwen3VLForConditionalGeneration", Processor]:
    """A tiny judge with random weights, and a tokenizer fitted to the world's texts."""
    tokenizer = _tokenizer(data)
    processor = Processor(tokenizer, tiny_judge.build_image_processor(), TINY.square_side)
    return tiny_judge.build_model(tokenizer, seed), processor


def _tokenizer(data: DataConfig) -> "PreTrainedTokenizerFast":
    samples = draw_samples(data, "train", _TOKENIZER_SAMPLES)
    # Only words matter, so the samples' own pictures stay encoded.
    blank = Image.new("RGB", (1, 1))
    return tiny_judge.build_tokenizer(
        text
        for sample in samples
        for task in _TASKS
        for text in (
            question_about(task, Edit(blank, blank, sample.instruction), TINY).text,
            answer(task, sample),
        )
    )
