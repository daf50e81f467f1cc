"""Operations of several processes that train one editor.

``torchrun`` or ``accelerate launch`` starts them, ``training.processes.joined`` joins them. Their
gradients are summed after the last backward pass of an update, as in DDP, but without its wrapper:
an editor calls its own module, and DDP only handles calls of the wrapper.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

import torch
from torch import Tensor, distributed, nn

from spatialreward.training.processes import Processes, ProcessesError

_BUCKET = 2**24
"""Numbers per message."""


def share_weights(weights: Sequence[nn.Parameter], processes: Processes) -> None:
    """Broadcast the first process's weights."""
    if processes.world_size == 1:
        return
    for weight in weights:
        distributed.broadcast(weight.data, 0)


def add_gradients(weights: Sequence[nn.Parameter], processes: Processes) -> None:
    """Sum gradients over all processes."""
    if processes.world_size == 1:
        return
    for weight in weights:
        if weight.grad is None:
            # A process without groups in this update contributes zero.
            weight.grad = torch.zeros_like(weight)
    for bucket in _buckets([weight.grad for weight in weights]):
        flat = torch.cat([one.flatten() for one in bucket])
        distributed.all_reduce(flat)
        for one, summed in zip(bucket, flat.split([one.numel() for one in bucket]), strict=True):
            one.copy_(summed.view_as(one))


def fail_together(error: Exception | None, processes: Processes) -> None:
    """Stop all processes if one of them failed, instead of letting the others wait for it.

    Raises:
        Exception: the process's own.
        ProcessesError: another process failed; has its message.
    """
    failures = processes.from_all(None if error is None else f"{type(error).__name__}: {error}")
    if error is not None:
        raise error
    for rank, words in enumerate(failures):
        if words is not None:
            raise ProcessesError(f"process {rank} of {processes.world_size} failed: {words}")


@contextmanager
def failing_together(processes: Processes, *, at_once: bool = True) -> Iterator[None]:
    """Stop all processes at the end of a ``with`` block if one of them failed in it.

    Args:
        processes: which enter the block equally often.
        at_once: False: raise an error in its own process alone, and in the others later.

    Raises:
        Exception, ProcessesError: as ``fail_together``.
    """
    error: Exception | None = None
    try:
        yield
    except Exception as caught:
        if not at_once:
            raise
        error = caught
    if at_once:
        fail_together(error, processes)


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one dtype each, with a limited total size unless single."""
    for _, alike in groupby(tensors, lambda one: one.dtype):
        bucket: list[Tensor] = []
        for one in alike:
            if bucket and sum(other.numel() for other in bucket) + one.numel() > _BUCKET:
                yield bucket
                bucket = []
            bucket.append(one)
        yield bucket
