"""Random numbers that depend on their purpose, not on the process or the order of calls.

Initial noise belongs to a prompt of a step, the noise of steps to one edit of it, so a training
samples the same edits on any number of processes, and a resumed one continues with the numbers of
the killed one.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """Purpose of random numbers."""

    ENCODE = 1
    START = 2
    STEPS = 3
    MATCH = 4
    ORDER = 5


def seed_of(seed: int, purpose: Purpose, *numbers: int) -> int:
    """A seed for one purpose, such as for one edit of a prompt."""
    mixed = np.random.SeedSequence([seed, purpose, *numbers]).generate_state(2, np.uint32)
    return int(mixed[0]) << 31 | int(mixed[1]) >> 1


def generator(seed: int) -> torch.Generator:
    """A CPU generator."""
    return torch.Generator().manual_seed(seed)


def normal_like(latents: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal numbers of the latents' shape, one generator per row, on the CPU."""
    rows = [torch.randn(latents.shape[1:], generator=one) for one in generators]
    return torch.stack(rows)
