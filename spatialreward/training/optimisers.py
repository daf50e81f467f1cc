"""Muon for the matrices of hidden layers and AdamW for the rest, as one optimiser."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from spatialreward.training.muon import Muon


class Together(torch.optim.Optimizer):
    """Several optimisers of different weights that step together."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        """Combine ``parts``; a schedule's rate for a group applies to theirs."""
        self._parts = tuple(parts)
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share_groups()

    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One step of each."""
        assert closure is None
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of all parts."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the result of ``state_dict``."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()

    def _share_groups(self) -> None:
        self.param_groups = [group for part in self._parts for group in part.param_groups]


def adamw(
    model: torch.nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW for all trained weights."""
    return _adamw(_trained(model).values(), learning_rate, weight_decay)


def muon_and_adamw(
    model: torch.nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Muon for the matrices of hidden layers, AdamW for all other trained weights."""
    trained = _trained(model)
    hidden = [one for name, one in trained.items() if _is_hidden(name, one)]
    if not hidden:
        return adamw(model, learning_rate, weight_decay)
    others = [one for name, one in trained.items() if not _is_hidden(name, one)]
    muon = Muon(hidden, lr=learning_rate, weight_decay=weight_decay)
    return Together([_adamw(others, learning_rate, weight_decay), muon])


def _adamw(
    weights: Iterable[torch.nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        weights, lr=learning_rate, betas=(0.9, 0.95), weight_decay=weight_decay, fused=True
    )


def _trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: one for name, one in model.named_parameters() if one.requires_grad}


# Excludes embeddings and outer layers, which Muon's own rule leaves to AdamW, and the mergers of
# the vision tower: the widest matrices of the tiny judge, on which Muon spent half of its time.
_NOT_HIDDEN = ("embed", "lm_head", "position", "modulation", "merger", "scalar_head")


def _is_hidden(name: str, weight: torch.nn.Parameter) -> bool:
    return weight.ndim == 2 and not any(part in name for part in _NOT_HIDDEN)
