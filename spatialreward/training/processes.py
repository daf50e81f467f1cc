"""The processes of a distributed training: ``torchrun`` starts them, and here they join."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol, TypeVar

from spatialreward.errors import InvalidInputError, SpatialRewardError

Shared = TypeVar("Shared")


class Together(Protocol):
    """Settings that give a training's number of processes."""

    @property
    def processes(self) -> int:
        """On this machine, unless ``torchrun`` has started them already."""
        ...

    @property
    def deepspeed(self) -> Literal["zero2", "zero3"] | None:
        """What DeepSpeed partitions among them, if used."""
        ...


class ProcessesError(SpatialRewardError, RuntimeError):
    """A process of a distributed training failed; its own output gives the reason."""


class Processes:
    """This process in a distributed training; without ``torchrun`` it is the only one."""

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        """Process ``rank`` of ``world_size``."""
        self.rank = rank
        self.world_size = world_size

    @property
    def is_first(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def from_first(self, value: Shared) -> Shared:
        """The first process's value, in every process."""
        if self.world_size == 1:
            return value
        from torch import distributed

        box = [value]
        distributed.broadcast_object_list(box)
        return box[0]

    def from_all(self, value: Shared) -> list[Shared]:
        """Each process's value, by rank, in every process."""
        if self.world_size == 1:
            return [value]
        from torch import distributed

        values: list[Shared] = [value] * self.world_size
        distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait for all processes."""
        self.from_first(None)


ALONE = Processes()


@contextmanager
def joined(config: Together | None = None) -> Iterator[Processes]:
    """Join the other processes, if any, for a ``with`` block.

    Args:
        config: says whether to use DeepSpeed; None: no.

    Raises:
        InvalidInputError: DeepSpeed needs ``torchrun``, which has not started this process.
    """
    import torch
    from torch import distributed

    cuda = torch.cuda.is_available()
    if not cuda:
        # accelerate would import DeepSpeed, which logs that it finds no GPU.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    started = is_started()
    stage = config.deepspeed if config is not None else None
    if stage and not started:
        raise InvalidInputError(f"deepspeed {stage}: expected to be run by torchrun")
    if not started:
        yield ALONE
        return
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "nccl" if cuda else "gloo"
    if stage:
        import deepspeed

        # DeepSpeed 0.19 uses deprecated names of torch 2.13, and every process warns.
        warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
        # It would compile for a minute a faster transport between processes of one machine without
        # a GPU; gloo does the same without a compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        # Torch's group alone is not enough: ZeRO-3 would assume a single process.
        deepspeed.init_distributed(backend)
    else:
        distributed.init_process_group(backend)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def is_started() -> bool:
    """Whether ``torchrun`` has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ or int(os.environ.get("WORLD_SIZE", "1")) > 1


def needs_start(config: Together) -> bool:
    """Whether a training needs ``run_together``."""
    return not is_started() and (config.processes > 1 or config.deepspeed is not None)


def run_together(num_processes: int, module: str, arguments: Sequence[str]) -> None:
    """Run a Python module as several processes on this machine, and wait for them.

    Raises:
        ProcessesError: one of them failed.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={num_processes}", "--module", module, *arguments]
    # torchrun's own default, which it logs with a warning.
    variables = {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"} | os.environ
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
    try:
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status:
        raise ProcessesError(
            f"{num_processes} processes that train together ended with status {status}; the "
            "first failure is above"
        )
