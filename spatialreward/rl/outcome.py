"""What the watch says of a training, and the weights that it thinks best."""

from typing import Any

import torch

from spatialreward.rl.types import Verdict
from spatialreward.rl.weights import TrainedWeights


class Outcome:
    """What the watch says of a training, as a part of its kept state."""

    def __init__(self, weights: TrainedWeights) -> None:
        """Nothing was said yet."""
        self._weights = weights
        self._best: dict[str, torch.Tensor] = {}
        self.best_step: int | None = None
        """Steps that the best policy was trained for; None: nobody looked."""
        self.stopped_after: int | None = None
        """Steps after which the watch stopped the training; None: it did not."""
        self.stopped_because = ""
        self.looked_after: int | None = None
        """Steps after which the last look was; None: there was none."""

    def take(self, verdict: Verdict, step: int) -> None:
        """Keep the weights as they are if they are the best, and remember why to stop."""
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
        """Make the best weights the editor's."""
        self._weights.load_state_dict(self._best)

    @property
    def card(self) -> dict[str, object]:
        """What the card of the editor says of it."""
        told: dict[str, object] = {}
        if self.best_step is not None:
            told["best_step"] = self.best_step
        if self.stopped_after is not None:
            told |= {
                "stopped_after_step": self.stopped_after,
                "stopped_because": self.stopped_because,
            }
        return told

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {
            "best": self._best,
            "best_step": self.best_step,
            "stopped_after": self.stopped_after,
            "stopped_because": self.stopped_because,
            "looked_after": self.looked_after,
        }

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take up what ``state_dict`` gave."""
        self._best = state_dict["best"]
        self.best_step = state_dict["best_step"]
        self.stopped_after = state_dict["stopped_after"]
        self.stopped_because = state_dict["stopped_because"]
        self.looked_after = state_dict["looked_after"]


class Unwatched:
    """Stands for the watch in processes that have none; the first one's alone keeps a state."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Nothing to take up."""
