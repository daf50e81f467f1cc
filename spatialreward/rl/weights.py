"""The trained weights of RL, and copies that follow them: an average, an old policy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from spatialreward.errors import InvalidInputError


class TrainedWeights:
    """An editor's parameters that require a gradient; only these are trained and stored."""

    def __init__(self, module: nn.Module) -> None:
        """Collect the parameters of a module.

        Raises:
            InvalidInputError: none of its parameters requires a gradient.
        """
        self.by_name: dict[str, nn.Parameter] = {
            name: weight for name, weight in module.named_parameters() if weight.requires_grad
        }
        if not self.by_name:
            raise InvalidInputError("the editor has no weights to train; put a LoRA on it first")

    @property
    def all(self) -> list[nn.Parameter]:
        """In the module's order."""
        return list(self.by_name.values())

    def state_dict(self) -> dict[str, Tensor]:
        """By their names in the module."""
        return {name: weight.detach() for name, weight in self.by_name.items()}

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Tensor], /) -> None:
        """Load the result of ``state_dict``."""
        _check_names(state_dict, self.by_name)
        for name, weight in self.by_name.items():
            weight.copy_(state_dict[name])


class Shadow:
    """Copies of the trained weights that follow them, in float32 or better."""

    def __init__(self, weights: TrainedWeights) -> None:
        """Copy the current weights."""
        self._weights = weights
        self._copies = {
            name: weight.detach().to(torch.promote_types(weight.dtype, torch.float32), copy=True)
            for name, weight in weights.by_name.items()
        }

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move towards the weights, keeping ``decay`` of itself; 0: copy."""
        for name, weight in self._weights.by_name.items():
            self._copies[name].mul_(decay).add_(weight, alpha=1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[Self]:
        """Switch the module to these weights for a ``with`` block.

        Do not compute gradients through results of the block.
        """
        with torch.no_grad():
            # Exchange the storage instead of overwriting it, for graphs made before.
            before = {name: weight.data for name, weight in self._weights.by_name.items()}
            for name, weight in self._weights.by_name.items():
                weight.data = self._copies[name].to(weight.dtype)
            try:
                yield self
            finally:
                for name, weight in self._weights.by_name.items():
                    weight.data = before[name]

    def state_dict(self) -> dict[str, Tensor]:
        """By the weights' names."""
        return dict(self._copies)

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Tensor], /) -> None:
        """Load the result of ``state_dict``."""
        _check_names(state_dict, self._copies)
        for name, copy in self._copies.items():
            copy.copy_(state_dict[name])


class MovingAverage(Shadow):
    """An exponential moving average with a lower decay at the start."""

    def __init__(self, weights: TrainedWeights, decay: float) -> None:
        """Average with ``decay`` per update, less in the first ones."""
        super().__init__(weights)
        self._decay = decay
        self._updates = 0

    def update(self) -> None:
        """Include the weights after an update."""
        self._updates += 1
        self.follow(min(self._decay, (1 + self._updates) / (10 + self._updates)))

    def state_dict(self) -> dict[str, Any]:
        """The average, and its number of updates."""
        return {"weights": super().state_dict(), "updates": self._updates}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Load the result of ``state_dict``."""
        super().load_state_dict(state_dict["weights"])
        self._updates = state_dict["updates"]


def _check_names(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    if given.keys() != expected.keys():
        name = sorted(given.keys() ^ expected.keys())[0]
        raise InvalidInputError(
            f"the kept state is of other weights: {name} is in one of them only"
        )
