"""Applies gradients: AdamW in every process, or sharded by DeepSpeed's ZeRO-2.

DeepSpeed gets only the trained weights, without their module: it uses hooks on weights, so the base
may have another precision, and the editor calls its module itself.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from spatialreward.errors import InvalidInputError
from spatialreward.rl.checks import check_norm
from spatialreward.rl.config import RlConfig
from spatialreward.rl.together import add_gradients
from spatialreward.training.processes import Processes


class Updates(Protocol):
    """Accumulates gradients, and applies their sum over all processes."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a part of this process's loss."""
        ...

    def step(self, step: int) -> float:
        """Apply the sum over all processes; returns its norm before clipping.

        Raises:
            NotFiniteError: the gradient is NaN or infinite; leaves the weights unchanged.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """The state for resuming, of all processes, which call it together."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Load the result of ``state_dict``, after the weights themselves."""
        ...


def updates_with(
    config: RlConfig, weights: Sequence[nn.Parameter], processes: Processes
) -> Updates:
    """The configured updates; a single process has nothing to shard."""
    if config.sharding == "zero2" and processes.world_size > 1:
        return DividedUpdates(config, weights, processes)
    return WholeUpdates(config, weights, processes)


class WholeUpdates:
    """Gradients and optimiser are whole in every process."""

    def __init__(
        self, config: RlConfig, weights: Sequence[nn.Parameter], processes: Processes
    ) -> None:
        """Update ``weights``."""
        self._weights = weights
        self._processes = processes
        self._max_norm = config.max_gradient_norm
        self._optimiser = _adamw(config, weights)

    def backward(self, loss: Tensor) -> None:
        """See ``Updates``."""
        loss.backward()

    def step(self, step: int) -> float:
        """See ``Updates``."""
        add_gradients(self._weights, self._processes)
        norm = check_norm(torch.nn.utils.clip_grad_norm_(self._weights, self._max_norm), step)
        self._optimiser.step()
        self._optimiser.zero_grad()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """See ``Updates``."""
        return {"whole": self._optimiser.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """See ``Updates``.

        Raises:
            InvalidInputError: the state is a sharded optimiser's.
        """
        if "whole" not in state_dict:
            raise _other_state(len(state_dict["by_rank"]), 1)
        self._optimiser.load_state_dict(state_dict["whole"])


class DividedUpdates:
    """Each process has a part of the gradients and of the optimiser's state."""

    def __init__(
        self, config: RlConfig, weights: Sequence[nn.Parameter], processes: Processes
    ) -> None:
        """Update ``weights``, which are identical in every process."""
        import deepspeed

        self._processes = processes
        # DeepSpeed keeps its own flat copy, in one dtype.
        self._engine, *_ = deepspeed.initialize(
            model=nn.ParameterList(weights),
            optimizer=_adamw(config, weights),
            config={
                "train_micro_batch_size_per_gpu": 1,
                # An update ends on request, after any number of backward passes.
                "managed_gradient_accumulation": False,
                "gradient_clipping": config.max_gradient_norm,
                "zero_allow_untested_optimizer": True,
                "zero_optimization": {
                    "stage": 2,
                    "contiguous_gradients": True,
                    "overlap_comm": False,
                },
            },
        )
        self._zero = self._engine.optimizer

    def backward(self, loss: Tensor) -> None:
        """See ``Updates``."""
        # DeepSpeed averages over processes, each of which has a part of the sum.
        self._engine.backward(loss * self._processes.world_size)

    def step(self, step: int) -> float:
        """See ``Updates``."""
        # DeepSpeed skips an invalid gradient, and reports its norm as infinite.
        self._engine.step()
        return check_norm(torch.as_tensor(self._engine.get_global_grad_norm()), step)

    def state_dict(self) -> dict[str, Any]:
        """See ``Updates``."""
        return {"by_rank": self._processes.from_all(_on_cpu(self._zero.optimizer.state_dict()))}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """See ``Updates``.

        Raises:
            InvalidInputError: the state has another number of processes, or a whole optimiser.
        """
        by_rank, world_size = state_dict.get("by_rank", [{}]), self._processes.world_size
        if len(by_rank) != world_size:
            raise _other_state(len(by_rank), world_size)
        self._zero.optimizer.load_state_dict(by_rank[self._processes.rank])
        # The optimiser's copy, beside the weights themselves.
        for copy, parts in zip(
            self._zero.single_partition_of_fp32_groups,
            self._zero.parallel_partitioned_bit16_groups,
            strict=True,
        ):
            copy.data.copy_(parts[self._processes.rank])


def _other_state(parts: int, now: int) -> InvalidInputError:
    return InvalidInputError(
        f"the kept state is of an optimiser in {parts} parts, this training divides it into {now}; "
        "go on with the same sharding and as many processes"
    )


def _on_cpu(state_dict: dict[str, Any]) -> dict[str, Any]:
    """An optimiser's state that any process can read, independent of its GPU."""
    state = {
        number: {name: one.cpu() if isinstance(one, Tensor) else one for name, one in entry.items()}
        for number, entry in state_dict["state"].items()
    }
    return state_dict | {"state": state}


def _adamw(config: RlConfig, weights: Sequence[nn.Parameter]) -> torch.optim.AdamW:
    return torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
