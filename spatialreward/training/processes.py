"""The processes that train one model together: ``torchrun`` starts them, and here they join."""

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
    """Settings of a training that say how many processes do it."""

    @property
    def processes(self) -> int:
        """Of this machine, unless ``torchrun`` has started them already."""
        ...

    @property
    def deepspeed(self) -> Literal["zero2", "zero3"] | None:
        """What DeepSpeed divides among them, if it is used."""
        ...


class ProcessesError(SpatialRewardError, RuntimeError):
    """One of the processes that train together failed; it has said why itself."""


class Processes:
    """This process among all that train one model; one that nobody started so is alone."""

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        """Be number ``rank`` of ``world_size``."""
        self.rank = rank
        self.world_size = world_size

    @property
    def is_first(self) -> bool:
        """Whether this is the process that reports and writes."""
        return self.rank == 0

    def from_first(self, value: Shared) -> Shared:
        """What the first process passes in, in every process."""
        if self.world_size == 1:
            return value
        from torch import distributed

        box = [value]
        distributed.broadcast_object_list(box)
        return box[0]

    def from_all(self, value: Shared) -> list[Shared]:
        """What each process passes in, by rank, in every process."""
        if self.world_size == 1:
            return [value]
        from torch import distributed

        values: list[Shared] = [value] * self.world_size
        distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Go on when all processes are here."""
        self.from_first(None)


ALONE = Processes()


@contextmanager
def joined(config: Together | None = None) -> Iterator[Processes]:
    """Join the other processes for the length of a ``with`` block, if there are others.

    Args:
        config: says whether DeepSpeed is used; None: it is not.

    Raises:
        InvalidInputError: DeepSpeed is asked for, and ``torchrun`` has not started this process.
    """
    import torch
    from torch import distributed

    cuda = torch.cuda.is_available()
    if not cuda:
        # accelerate imports DeepSpeed if it is there, which would say that it finds no GPU.
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

        # DeepSpeed 0.19 calls torch 2.13 by names that will change, and every process says so.
        warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
        # What it would compile at its start, for a minute, is a faster way between processes of one
        # machine without a GPU; gloo does the same without a compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        # Torch's group alone is not enough: ZeRO-3 would take itself for one process.
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
    """Whether a training has to be started with ``run_together``."""
    return not is_started() and (config.processes > 1 or config.deepspeed is not None)


def run_together(num_processes: int, module: str, arguments: Sequence[str]) -> None:
    """Run a module of Python as several processes of this machine, and wait for their end.

    Raises:
        ProcessesError: one of them failed.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={num_processes}", "--module", module, *arguments]
    # As torchrun would choose itself, with a warning.
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
            f"{num_processes} processes that train together ended with status {status}; what "
            "the first to fail said is above"
        )
