"""The vision tower against transformers' own, forward and backward: same results, less time."""

# N pictures, S patches of all pictures

import copy
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch.nn import functional
from transformers import Qwen3VLVisionConfig, Qwen3VLVisionModel

from spatialreward.figures import Figure
from spatialreward.judges.qwen_vl.vision import PatchProjection, faster_vision
from spatialreward.training.muon import has_bfloat16

SEED = 7
_TOLERANCE = 1e-5
"""Of a difference, as a share of the largest value; for sums of some thousand terms in float32."""


class Case(NamedTuple):
    """A tower with its pictures."""

    name: str
    tower: Mapping[str, object]
    num_pictures: int
    side_px: int
    num_pairs: int


TINY = Case(
    "tiny",
    {
        "depth": 3,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_heads": 4,
        "patch_size": 8,
        "temporal_patch_size": 1,
        "out_hidden_size": 192,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    },
    num_pictures=48,
    side_px=64,
    num_pairs=7,
)
"""The tiny judge's, at one training step: 24 questions about two pictures each."""
LARGE_PICTURES = Case(
    "512",
    {
        "depth": 8,
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_heads": 6,
        "patch_size": 16,
        "temporal_patch_size": 2,
        "out_hidden_size": 512,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [2, 5],
    },
    num_pictures=4,
    side_px=512,
    num_pairs=3,
)
"""Qwen3-VL's shape at a size that takes a CPU seconds."""


def measure(cases: tuple[Case, ...] = (TINY, LARGE_PICTURES)) -> list[Figure]:
    """Differences, ratios of speed and seconds; on two cores about two minutes.

    Ratios are medians over pairs of one pass each, taken in turn, so that other load slows both.
    bfloat16 is measured if the processor has instructions for it.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    reduced = (False, True) if has_bfloat16(device) else (False,)
    figures = []
    for case in cases:
        stock, pixels, grids_N3 = _prepared(case, device)
        fast = copy.deepcopy(stock)
        faster_vision(fast)
        figures += _differences(case.name, stock, fast, pixels, grids_N3)
        for in_bfloat16 in reduced:
            passes = [_pass(tower, pixels, grids_N3, in_bfloat16) for tower in (stock, fast)]
            names = (f"vision/ratio_to_stock_{case.name}", f"vision/seconds_{case.name}")
            figures += _speed(_named(names, in_bfloat16), *passes, case.num_pairs)
    return figures + _patch_embedding(cases[-1], device, reduced)


def _prepared(case: Case, device: str) -> tuple[Qwen3VLVisionModel, torch.Tensor, torch.Tensor]:
    """A tower of random weights, and noise for pictures."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        config = Qwen3VLVisionConfig(**case.tower, attn_implementation="sdpa")
        tower = Qwen3VLVisionModel(config).to(device)
    side = case.side_px // config.patch_size
    grids_N3 = torch.tensor([[1, side, side]] * case.num_pictures)
    values = config.in_channels * config.temporal_patch_size * config.patch_size**2
    pixels = torch.randn(case.num_pictures * side * side, values, generator=generator)
    return tower, pixels.to(device), grids_N3.to(device)


def _loss(tower: Qwen3VLVisionModel, pixels: torch.Tensor, grids_N3: torch.Tensor) -> torch.Tensor:
    seen = tower(pixels, grid_thw=grids_N3)
    return sum(
        one.float().square().mean() for one in (seen.pooler_output, *seen.deepstack_features)
    )


def _pass(
    tower: Qwen3VLVisionModel, pixels: torch.Tensor, grids_N3: torch.Tensor, in_bfloat16: bool
) -> Callable[[], None]:
    def forward_and_backward() -> None:
        tower.zero_grad()
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=in_bfloat16):
            loss = _loss(tower, pixels, grids_N3)
        loss.backward()

    return forward_and_backward


def _differences(
    name: str,
    stock: Qwen3VLVisionModel,
    fast: Qwen3VLVisionModel,
    pixels: torch.Tensor,
    grids_N3: torch.Tensor,
) -> list[Figure]:
    outputs, gradients = [], []
    for tower in (stock, fast):
        tower.zero_grad()
        _loss(tower, pixels, grids_N3).backward()
        gradients.append([weight.grad.clone() for weight in tower.parameters()])
        with torch.no_grad():
            outputs.append(tower(pixels, grid_thw=grids_N3).pooler_output)
    of_gradients = max(map(_apart, *gradients))
    return [
        Figure.at_most(f"vision/largest_difference_{name}", _apart(*outputs), _TOLERANCE),
        Figure.at_most(f"vision/largest_gradient_difference_{name}", of_gradients, _TOLERANCE),
    ]


def _apart(expected: torch.Tensor, got: torch.Tensor) -> float:
    """The largest difference as a share of the largest value."""
    return float((expected - got).abs().max() / expected.abs().max())


def _patch_embedding(case: Case, device: str, reduced: tuple[bool, ...]) -> list[Figure]:
    """The convolution against the equivalent matrix product, alone."""
    tower, pixels, _ = _prepared(case, device)
    stock = tower.patch_embed
    fast = copy.deepcopy(stock)
    fast.proj.__class__ = PatchProjection
    outputs = [embed(pixels).detach() for embed in (stock, fast)]
    figures = [Figure.at_most("patch_embedding/largest_difference", _apart(*outputs), _TOLERANCE)]

    def embedding(embed: torch.nn.Module, in_bfloat16: bool) -> Callable[[], None]:
        def forward_and_backward() -> None:
            embed.zero_grad()
            with torch.autocast(device, torch.bfloat16, enabled=in_bfloat16):
                embedded = embed(pixels)
            functional.mse_loss(embedded.float(), outputs[0]).backward()

        return forward_and_backward

    for in_bfloat16 in reduced:
        passes = [embedding(one, in_bfloat16) for one in (stock, fast)]
        names = ("patch_embedding/ratio", "patch_embedding/seconds")
        figures += _speed(_named(names, in_bfloat16), *passes, case.num_pairs)
    return figures


def _named(names: tuple[str, str], in_bfloat16: bool) -> tuple[str, str]:
    return (f"{names[0]}_bfloat16", f"{names[1]}_bfloat16") if in_bfloat16 else names


def _speed(
    names: tuple[str, str], stock: Callable[[], None], fast: Callable[[], None], num_pairs: int
) -> list[Figure]:
    """The ratio of speeds and the seconds, by the given names."""
    pairs = []
    for number in range(num_pairs + 1):
        # Alternate the order between pairs; the first pair warms up.
        order = (stock, fast) if number % 2 else (fast, stock)
        seconds = {way: _seconds(way) for way in order}
        pairs.append((seconds[stock], seconds[fast]))
    ratio = statistics.median(of_stock / of_fast for of_stock, of_fast in pairs[1:])
    of_stock, of_fast = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
    return [
        Figure.at_least(names[0], ratio, 1.0, baseline=1.0),
        Figure(name=names[1], value=of_fast, baseline=of_stock, unit="s"),
    ]


def _seconds(way: Callable[[], None]) -> float:
    start = time.perf_counter()
    way()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
