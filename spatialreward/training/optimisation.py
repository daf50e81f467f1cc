"""What every training does alike: optimisers, learning rate, and going on after a kill."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from spatialreward.training.config import OptimiserConfig
from spatialreward.training.muon import Muon, has_bfloat16
from spatialreward.training.ranks import ALONE, Ranks

logger = logging.getLogger(__name__)


class Optimisation:
    """The optimisers of one model, and what is done with a loss."""

    def __init__(self, model: torch.nn.Module, config: OptimiserConfig, num_steps: int) -> None:
        """Train all of the model's weights for ``num_steps`` updates."""
        self._model = model
        self._config = config
        self._optimisers = _optimisers(model, config)
        self._schedules = [
            torch.optim.lr_scheduler.LambdaLR(
                optimiser, lambda step: learning_rate_factor(step, config.warmup_steps, num_steps)
            )
            for optimiser in self._optimisers
        ]

    @property
    def parts(self) -> "Sequence[Stateful]":
        """All that has to be kept to go on later."""
        return (self._model, *self._optimisers, *self._schedules)

    def precision(self, device_type: str) -> torch.autocast:
        """Context of the forward pass."""
        wanted = self._config.precision
        reduced = wanted == "bfloat16" or (wanted == "fastest" and has_bfloat16(device_type))
        return torch.autocast(device_type, torch.bfloat16, enabled=reduced)

    def update(self, loss: torch.Tensor) -> None:
        """One step down the gradient of a loss."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.max_gradient_norm)
        for part in (*self._optimisers, *self._schedules):
            part.step()
        self._model.zero_grad()


class Stateful(Protocol):
    """A model, an optimiser, a schedule: what has a state that can be kept."""

    def state_dict(self) -> dict[str, Any]:
        """The state."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take up a state."""
        ...


class KeptState:
    """What a killed training needs to go on, in one file that is replaced as a whole."""

    def __init__(self, path: Path | None, parts: Sequence[Stateful], ranks: Ranks = ALONE) -> None:
        """Keep ``parts`` in a file; without one nothing is kept.

        Of several ranks the first one has the file, and the others start from what it says.
        """
        self._path = path
        self._parts = parts
        self._ranks = ranks
        self._seconds_before = 0.0
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the training has taken, over all its runs."""
        return self._seconds_before + time.perf_counter() - self._start

    def restore(self) -> int:
        """Take up the kept state, if there is one; returns the number of steps it has done."""
        kept = None
        if self._path is not None and self._path.is_file():
            kept = torch.load(self._path, weights_only=True)
        kept = self._ranks.from_first(kept)
        if kept is None:
            return 0
        for part, kept_part in zip(self._parts, kept["parts"], strict=True):
            part.load_state_dict(kept_part)
        self._seconds_before = kept["seconds"]
        if self._ranks.is_first:
            logger.info("going on after step %d (%s)", kept["step"], self._path)
        return kept["step"]

    def keep(self, step: int) -> None:
        """Replace what was kept before."""
        if self._path is None:
            return
        unfinished = self._path.with_suffix(".partial")
        parts = [part.state_dict() for part in self._parts]
        torch.save({"step": step, "seconds": self.seconds, "parts": parts}, unfinished)
        unfinished.rename(self._path)


def learning_rate_factor(step: int, warmup_steps: int, num_steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine down to a tenth."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, num_steps - warmup_steps))
    return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))


def _optimisers(
    model: torch.nn.Module, config: OptimiserConfig
) -> tuple[torch.optim.Optimizer, ...]:
    weights = dict(model.named_parameters())
    hidden = {
        name: weight
        for name, weight in weights.items()
        if config.matrices == "muon" and _is_hidden(name, weight)
    }
    adamw = torch.optim.AdamW(
        [weight for name, weight in weights.items() if name not in hidden],
        lr=config.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=config.weight_decay,
    )
    if not hidden:
        return (adamw,)
    muon = Muon(list(hidden.values()), lr=config.learning_rate, weight_decay=config.weight_decay)
    return (adamw, muon)


# Tables and outer layers, which are AdamW's by Muon's own rule, and the mergers of the vision
# tower: the widest matrices of the tiny judge, on which Muon spent half of its time.
_NOT_HIDDEN = ("embed", "lm_head", "position", "modulation", "merger")


def _is_hidden(name: str, weight: torch.nn.Parameter) -> bool:
    return weight.ndim == 2 and not any(part in name for part in _NOT_HIDDEN)
