"""Random numbers that follow from what they are for, not from the process or the order of calls.

Starting noise belongs to a prompt of a step, the noise of steps to one edit of it, so a training on
any number of processes draws the same edits, and a resumed one goes on with the numbers that the
killed one would have drawn.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """What numbers are drawn for."""

    ENCODE = 1
    START = 2
    STEPS = 3
    MATCH = 4
    ORDER = 5


def seed_of(seed: int, purpose: Purpose, *numbers: int) -> int:
    """A seed for one purpose, such as that of one edit of a prompt."""
    mixed = np.random.SeedSequence([seed, purpose, *numbers]).generate_state(2, np.uint32)
    return int(mixed[0]) << 31 | int(mixed[1]) >> 1


def generator(seed: int) -> torch.Generator:
    """A generator of the CPU."""
    return torch.Generator().manual_seed(seed)


def normal_like(latents: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal numbers of the latents' shape, a generator for each row, on the CPU."""
    rows = [torch.randn(latents.shape[1:], generator=one) for one in generators]
    return torch.stack(rows)
