"""The watch's verdicts on a training, and its best weights."""

from typing import Any

import torch

from spatialreward.rl.types import Verdict
from spatialreward.rl.weights import TrainedWeights


class Outcome:
    """The watch's verdicts on a training, part of its saved state."""

    def __init__(self, weights: TrainedWeights) -> None:
        """Start without a verdict."""
        self._weights = weights
        self._best: dict[str, torch.Tensor] = {}
        self.best_step: int | None = None
        """Training steps of the best policy; None: no look yet."""
        self.stopped_after: int | None = None
        """Steps after which the watch stopped the training; None: it did not."""
        self.stopped_because = ""
        self.looked_after: int | None = None
        """Steps before the last look; None: no look yet."""

    def take(self, verdict: Verdict, step: int) -> None:
        """Record a verdict; keeps the weights if they are the best."""
        self.looked_after = step
        if verdict.is_best:
            self.best_step = step
            self._best = {
                name: weight.detach().to("cpu", copy=True)
                for name, weight in self._weights.by_name.items()
            }
        if verdict.stop is not None:
            self.stopped_after, self.stopped_because = step, verdict.stop

    def restore_best(self) -> None:
        """Load the best weights into the editor."""
        self._weights.load_state_dict(self._best)

    @property
    def card(self) -> dict[str, object]:
        """The outcome, for the editor's card."""
        card: dict[str, object] = {}
        if self.best_step is not None:
            card["best_step"] = self.best_step
        if self.stopped_after is not None:
            card |= {
                "stopped_after_step": self.stopped_after,
                "stopped_because": self.stopped_because,
            }
        return card

    def state_dict(self) -> dict[str, Any]:
        """The whole state."""
        return {
            "best": self._best,
            "best_step": self.best_step,
            "stopped_after": self.stopped_after,
            "stopped_because": self.stopped_because,
            "looked_after": self.looked_after,
        }

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Load the result of ``state_dict``."""
        self._best = state_dict["best"]
        self.best_step = state_dict["best_step"]
        self.stopped_after = state_dict["stopped_after"]
        self.stopped_because = state_dict["stopped_because"]
        self.looked_after = state_dict["looked_after"]


class Unwatched:
    """Replaces the watch in processes without one; only the first process keeps a state."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Nothing to load."""
