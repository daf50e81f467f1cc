"""Training metrics: losses by part, speed, memory, and progress."""

import itertools
import resource
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from transformers import TrainerCallback

from spatialreward.progress import track

_PEAK_TFLOPS: Mapping[str, float] = MappingProxyType(
    {
        "H200": 989.5,
        "H100 PCIe": 756.0,
        "H100": 989.5,
        "A100": 312.0,
        "L40S": 362.0,
        "L4": 121.0,
        "A10": 125.0,
        "RTX 4090": 165.2,
    }
)
"""Dense bfloat16 operations, by a part of the device's name; from the vendors' data sheets."""


def peak_flops(device_name: str) -> float | None:
    """Peak bfloat16 FLOPS of a GPU; None if unknown."""
    for name, tflops in _PEAK_TFLOPS.items():
        if name in device_name:
            return tflops * 1e12
    return None


class Losses:
    """Sums of the loss by part of the answers, between two reports."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Start with a sum for each of ``names``."""
        self._names = names
        self._sums = torch.zeros(2, len(names), dtype=torch.float64)

    def add(
        self, loss_BK: torch.Tensor, parts_BK: torch.Tensor, is_learnt_BK: torch.Tensor
    ) -> None:
        """Add a batch's tokens; those without a label have no loss."""
        numbers = parts_BK[is_learnt_BK]
        values = loss_BK.detach()[is_learnt_BK].double()
        self._sums = self._sums.to(values.device)
        self._sums[0].index_add_(0, numbers, values)
        self._sums[1].index_add_(0, numbers, torch.ones_like(values))

    def take(self, gather: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        """Means since the last report over all processes, for the parts that occurred."""
        totals, counts = gather(self._sums).cpu().tolist()
        self._sums = torch.zeros_like(self._sums)
        return {
            f"loss/{name}": total / count
            for name, total, count in zip(self._names, totals, counts, strict=True)
            if count
        }


class Speed:
    """Samples and tokens a second, and the share of a known GPU's peak."""

    def __init__(self, flops_a_token: float, device: torch.device) -> None:
        """Start the clock; ``flops_a_token`` covers forward and backward pass."""
        self._flops_a_token = flops_a_token
        is_gpu = device.type == "cuda"
        self._peak = peak_flops(torch.cuda.get_device_name(device)) if is_gpu else None
        self._device = device
        self._restart()

    def _restart(self) -> None:
        self._samples = self._tokens = 0
        self._start = time.perf_counter()

    def add(self, mask_BL: torch.Tensor) -> None:
        """Count a batch of this process."""
        self._samples += mask_BL.shape[0]
        self._tokens += int(mask_BL.sum())

    def take(self, world_size: int) -> dict[str, float]:
        """Rates since the last report, multiplied by the number of processes."""
        seconds = time.perf_counter() - self._start
        tokens = self._tokens / seconds
        rates = {
            "speed/samples_per_s": self._samples * world_size / seconds,
            "speed/tokens_per_s": tokens * world_size,
            "memory/peak_gib": self._peak_gib(),
        }
        if self._peak is not None:
            rates["speed/mfu"] = tokens * self._flops_a_token / self._peak
        self._restart()
        return rates

    def _peak_gib(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**30
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


class Progress(TrainerCallback):
    """Shows the progress of a training."""

    def __init__(self, description: str) -> None:
        """Label it ``description``."""
        self._description = description

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Start at the training's first step, or where it resumes."""
        left = state.max_steps - state.global_step
        steps = itertools.repeat(None, left)
        self._ticks = track(steps, total=left, description=self._description)
        next(self._ticks, None)

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Advance by one step."""
        next(self._ticks, None)
