"""A large random judge on this machine's GPU: time and memory at a real judge's size.

Random weights never close a JSON object. So every answer has the longest allowed length and counts
as unreadable, and the figures do not cover judgements. Needs only torch and transformers, without
the dependencies of the pipeline, the server and the generated world.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.figures import Figure
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.progress import track
from spatialreward.protocol.prompts import FULL

if TYPE_CHECKING:
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2VLImageProcessorPil,
        Qwen3VLForConditionalGeneration,
    )

_GROUP_SIZE = 12
_SEED = 4
_TINY = "tiny"


class _Dimensions(NamedTuple):
    """Of a language model."""

    width: int
    mlp_width: int
    layers: int
    heads: int


_DIMENSIONS = {
    "2b": _Dimensions(width=2048, mlp_width=6144, layers=28, heads=16),
    "4b": _Dimensions(width=2560, mlp_width=9728, layers=36, heads=32),
}
"""As in ``config.json`` of Qwen3-VL-2B-Instruct and Qwen3-VL-4B-Instruct."""
_ANY_LANGUAGE_MODEL = {
    # Of Qwen's tokenizer, so that choosing a token costs what it costs there.
    "vocab_size": 151_936,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 262_144,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5_000_000.0,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
    "tie_word_embeddings": True,
}
"""Common to both sizes."""
_ANY_VISION_TOWER = {
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_heads": 16,
    "deepstack_visual_indexes": [5, 11, 17],
}
_TOKENS = {
    "image": "image_pad",
    "video": "video_pad",
    "vision_start": "vision_start",
    "vision_end": "vision_end",
}
"""Names in a configuration, and in the tokenizer."""


class _Way:
    """One way to judge, with its measurements."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.seconds: list[float] = []
        """Of the batches."""
        self.peak_bytes = 0
        """Of the GPU's memory, weights included; 0 on a CPU."""
        self.measured: Counter[str] = Counter()
        """The engine's measurements."""

    def warm_up(self, edits: Sequence[Edit]) -> None:
        self._judge.judge(edits)

    def run(self, edits: Sequence[Edit]) -> None:
        import torch

        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        self._judge.judge(edits, lambda name, amount: self.measured.update({name: amount}))
        self.seconds.append(time.perf_counter() - start)
        if on_gpu:
            self.peak_bytes = max(self.peak_bytes, torch.cuda.max_memory_allocated())


def measure_large(
    size: str, *, batches: int, groups_per_batch: int, side: int, max_answer_tokens: int = 200
) -> list[Figure]:
    """Judge with shared prefixes and, as the baseline, without; batch by batch in turn.

    Args:
        size: ``2b`` or ``4b``; ``tiny`` runs without a GPU.
        batches: number for either way, after a smaller warm-up batch.
        groups_per_batch: groups of 12 edits of one source and one instruction.
        side: of the square pictures, in pixels.
        max_answer_tokens: the length of every answer.

    Raises:
        InvalidInputError: there is no such size, no GPU for it, nothing to judge, or the pictures
            do not fall into whole patches.
    """
    if min(batches, groups_per_batch) < 1:
        raise InvalidInputError("expected at least 1 batch of at least 1 group")
    model, processor = _model(size, side)
    protocol = FULL.model_copy(update={"square_side": side, "max_answer_tokens": max_answer_tokens})
    num_edits = groups_per_batch * _GROUP_SIZE
    shared, full = (
        _Way(
            Judge.of_model(
                model, processor, protocol, share_prefixes=share, guided=False, batch_size=num_edits
            )
        )
        for share in (True, False)
    )
    rng = np.random.default_rng(_SEED)
    for way in (shared, full):
        way.warm_up(_group(rng, side))
    for _ in track(range(batches), total=batches, description=f"judging with {size}"):
        edits = [edit for _ in range(groups_per_batch) for edit in _group(rng, side)]
        for way in (shared, full):
            way.run(edits)
    parameters = sum(one.numel() for one in model.parameters())
    return [
        Figure(name="gpu/parameters_billions", value=parameters / 1e9),
        *_figures(shared, full, num_edits),
    ]


def _figures(shared: _Way, full: _Way, num_edits: int) -> list[Figure]:
    count = num_edits * len(shared.seconds)
    rates = [count / sum(way.seconds) for way in (shared, full)]
    figures = [Figure(name="gpu/judgements_per_s", value=rates[0], unit="1/s", baseline=rates[1])]
    for percentile in (50, 95):
        ours, theirs = (float(np.percentile(way.seconds, percentile)) for way in (shared, full))
        name = f"gpu/batch_p{percentile}_s"
        figures.append(Figure(name=name, value=ours, unit="s", baseline=theirs))
    if shared.peak_bytes:
        ours, theirs = (way.peak_bytes / 1e9 for way in (shared, full))
        figures.append(Figure(name="gpu/peak_memory_gb", value=ours, unit="GB", baseline=theirs))
    return [
        *figures,
        Figure(
            name="gpu/prompt_tokens_per_judgement",
            value=shared.measured["prompt_tokens/computed"] / count,
            baseline=full.measured["prompt_tokens/computed"] / count,
        ),
        Figure(name="gpu/unreadable_share", value=shared.measured["answers/unreadable"] / count),
    ]


def _group(rng: np.random.Generator, side: int) -> list[Edit]:
    """Edits of one source and one instruction; noise, because random weights see nothing in it."""
    source, *attempts = (
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        for _ in range(1 + _GROUP_SIZE)
    )
    instruction = f"replace object {rng.integers(1000)} by a small red circle"
    return [Edit(source, attempt, instruction) for attempt in attempts]


def _model(size: str, side: int) -> tuple["Qwen3VLForConditionalGeneration", Processor]:
    """Random weights, on the GPU if there is one, and their processor.

    The tokenizer is the shipped base's: it makes more tokens of an English prompt than Qwen's own.
    """
    import torch
    from transformers import AutoTokenizer

    from spatialreward.world import tiny_judge
    from spatialreward.world.shipped import SHIPPED_BASE

    if size not in (*_DIMENSIONS, _TINY):
        raise InvalidInputError(f"size: expected {', '.join(_DIMENSIONS)} or {_TINY}, got {size!r}")
    has_gpu = torch.cuda.is_available()
    if size != _TINY and not has_gpu:
        raise InvalidInputError(f"size {size} needs a GPU and torch finds none; {_TINY} does not")
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED_BASE, local_files_only=True)
    device = torch.device("cuda" if has_gpu else "cpu")
    torch.manual_seed(_SEED)
    if size == _TINY:
        model = tiny_judge.build_model(tokenizer, _SEED).to(device)
    else:
        model = _large_model(_DIMENSIONS[size], tokenizer, device)
    return model, Processor(tokenizer, _image_processor(model, side), side)


def _large_model(
    dimensions: _Dimensions, tokenizer: "PreTrainedTokenizerFast", device: object
) -> "Qwen3VLForConditionalGeneration":
    """Built on its device: a GPU draws billions of numbers in no time."""
    import torch
    from transformers import AutoModelForImageTextToText, Qwen3VLConfig

    from spatialreward.judges.qwen_vl.faster import make_faster

    config = Qwen3VLConfig(
        text_config={
            **_ANY_LANGUAGE_MODEL,
            "hidden_size": dimensions.width,
            "intermediate_size": dimensions.mlp_width,
            "num_hidden_layers": dimensions.layers,
            "num_attention_heads": dimensions.heads,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**_ANY_VISION_TOWER, "out_hidden_size": dimensions.width},
        tie_word_embeddings=True,
        **{
            f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
            for name, token in _TOKENS.items()
        },
    )
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    make_faster(model)
    return model


def _image_processor(
    model: "Qwen3VLForConditionalGeneration", side: int
) -> "Qwen2VLImageProcessorPil":
    from transformers import Qwen2VLImageProcessorPil

    vision = model.config.vision_config
    piece = vision.patch_size * vision.spatial_merge_size
    if side < piece or side % piece:
        raise InvalidInputError(f"side: expected a multiple of {piece} pixels, got {side}")
    return Qwen2VLImageProcessorPil(
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        merge_size=vision.spatial_merge_size,
        size={"shortest_edge": side**2, "longest_edge": side**2},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
