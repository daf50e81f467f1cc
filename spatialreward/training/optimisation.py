"""Optimisers, learning rate and resumable states for the training of an editor."""

import logging
import math
import pickle
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from spatialreward.errors import InvalidInputError
from spatialreward.training.config import OptimiserConfig
from spatialreward.training.muon import has_bfloat16
from spatialreward.training.optimisers import adamw, muon_and_adamw
from spatialreward.training.processes import ALONE, Processes

logger = logging.getLogger(__name__)


class Optimisation:
    """The optimiser of one model, with its schedule and precision."""

    def __init__(self, model: torch.nn.Module, config: OptimiserConfig, num_steps: int) -> None:
        """Train all of the model's weights for ``num_steps`` updates."""
        self._model = model
        self._config = config
        self._optimiser = (
            muon_and_adamw(model, config.learning_rate, config.weight_decay)
            if config.matrices == "muon"
            else adamw(model, config.learning_rate, config.weight_decay)
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: learning_rate_factor(step, config.warmup_steps, num_steps)
        )

    @property
    def parts(self) -> "Sequence[Stateful]":
        """All states to keep for resuming."""
        return (self._model, self._optimiser, self._schedule)

    def precision(self, device_type: str) -> torch.autocast:
        """Autocast context of the forward pass."""
        wanted = self._config.precision
        reduced = wanted == "bfloat16" or (wanted == "fastest" and has_bfloat16(device_type))
        return torch.autocast(device_type, torch.bfloat16, enabled=reduced)

    def update(self, loss: torch.Tensor) -> None:
        """Apply one gradient step of a loss."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.max_gradient_norm)
        self._optimiser.step()
        self._schedule.step()
        self._model.zero_grad()


class Stateful(Protocol):
    """An object with a state: a model, an optimiser, a schedule."""

    def state_dict(self) -> dict[str, Any]:
        """The state."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Load a state."""
        ...


class KeptState:
    """The state of a training for resuming, in one file that is replaced atomically."""

    def __init__(
        self, path: Path | None, parts: Sequence[Stateful], processes: Processes = ALONE
    ) -> None:
        """Keep ``parts`` in a file; None: keep nothing.

        Args:
            path: of the file, which all processes see.
            parts: each has a state, which may be sharded among processes.
            processes: those that train together; the first one writes.
        """
        self._path = path
        self._parts = parts
        self._processes = processes
        self._seconds_before = 0.0
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Duration of the training, over all its runs."""
        return self._seconds_before + time.perf_counter() - self._start

    def restore(self) -> int:
        """Load the saved state, if there is one; returns its number of steps.

        Raises:
            InvalidInputError: the file cannot be read, or processes would go on after different
                steps, as where each node has a disk of its own; names steps and files.
        """
        if self._path is None:
            return 0
        kept = _read(self._path) if self._path.is_file() else None
        self._check_same_step(None if kept is None else kept["step"])
        if kept is None:
            return 0
        for part, kept_part in zip(self._parts, kept["parts"], strict=True):
            part.load_state_dict(kept_part)
        self._seconds_before = kept["seconds"]
        logger.info("resuming after step %d (%s)", kept["step"], self._path)
        return kept["step"]

    def _check_same_step(self, step: int | None) -> None:
        """Compare before any part is loaded: sharded parts wait for all processes."""
        states = self._processes.from_all((step, platform.node(), str(self._path)))
        if len({step for step, _, _ in states}) == 1:
            return
        found = "; ".join(
            f"process {rank} on {node}: "
            + (f"no file {path}" if step is None else f"step {step} in {path}")
            for rank, (step, node, path) in enumerate(states)
        )
        raise InvalidInputError(
            f"processes would resume from different steps ({found}); put the folder on storage "
            "that all nodes share, or copy the newest file to each node"
        )

    def keep(self, step: int) -> None:
        """Replace the saved state.

        Args:
            step: number of steps done.
        """
        if self._path is None:
            return
        unfinished = self._path.with_suffix(".partial")
        # In all processes: a part of the state may be sharded among them.
        parts = [part.state_dict() for part in self._parts]
        if not self._processes.is_first:
            return
        torch.save({"step": step, "seconds": self.seconds, "parts": parts}, unfinished)
        unfinished.rename(self._path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        problem = " ".join(str(error).split())
        raise InvalidInputError(
            f"{path}: this state cannot be read ({problem}); remove the file to begin again"
        ) from error


def learning_rate_factor(step: int, warmup_steps: int, num_steps: int) -> float:
    """Learning rate as a share of its peak: linear warm-up, then cosine decay to a tenth."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, num_steps - warmup_steps))
    return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))
