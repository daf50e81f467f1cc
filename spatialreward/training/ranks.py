"""Training with several processes: who has which samples, and what they tell each other.

``torchrun`` starts the processes and sets ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK``; a process
that nobody started so is alone and pays nothing. All processes go through the same batches in the
same order, and each takes every ``world_size``-th sample of a batch, so that together they do the
same step as one process with the whole batch.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from spatialreward.errors import InvalidInputError

Item = TypeVar("Item")
Shared = TypeVar("Shared")


class Ranks:
    """This process among all that train one model."""

    def __init__(self, rank: int = 0, world_size: int = 1, device: str = "cpu") -> None:
        """Be number ``rank`` of ``world_size`` processes, with the model on ``device``."""
        self.rank = rank
        self.world_size = world_size
        self._device = device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that reports, keeps the state and writes the checkpoint."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Make sure that every process gets its part of every batch.

        Raises:
            InvalidInputError: a batch cannot be divided evenly.
        """
        if batch_size % self.world_size:
            raise InvalidInputError(
                f"batch_size {batch_size}: cannot be divided evenly among {self.world_size} "
                "processes"
            )

    def part_of(self, batch: Sequence[Item]) -> Sequence[Item]:
        """What this process does of a batch."""
        return batch[self.rank :: self.world_size]

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model with gradients that are averaged over all processes."""
        if self.world_size == 1:
            return model
        # A batch of one task need not reach every weight of a model.
        return DistributedDataParallel(model, find_unused_parameters=True)

    def total(self, value: float) -> float:
        """The sum of a number over all processes."""
        if self.world_size == 1:
            return value
        number = torch.tensor(value, dtype=torch.float64, device=self._device)
        distributed.all_reduce(number)
        return number.item()

    def from_first(self, value: Shared) -> Shared:
        """What the first process passes in, in every process."""
        if self.world_size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box)
        return box[0]


ALONE = Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the other processes for the length of a ``with`` block, if there are others."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield ALONE
        return
    cuda = torch.cuda.is_available()
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Ranks(distributed.get_rank(), world_size, device)
    finally:
        distributed.destroy_process_group()
