"""Stops a GRPO whose judge diverges from the initial one, and rolls back to a good state.

A step's divergence is that of its initial weights. So when it exceeds the limit, a state written
just before it does too, and the last good state is the previous one.
"""

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from spatialreward.errors import SpatialRewardError

if TYPE_CHECKING:
    from spatialreward.training.grpo_trainer import GrpoTrainer

logger = logging.getLogger(__name__)


class DivergenceError(SpatialRewardError, RuntimeError):
    """The judge diverged before the first state."""


class KlBound(TrainerCallback):
    """Watches a training; ``trainer`` is set once it exists."""

    def __init__(self, bound: float | None) -> None:
        """Stop at a divergence above ``bound``, or at NaN; None: no limit."""
        self._bound = math.inf if bound is None else bound
        self.trainer: GrpoTrainer | None = None
        self.stopped_at: int | None = None
        """The step whose divergence exceeded the limit; None: none."""
        self.kl = 0.0
        """Of the last step."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Reset the previous step's divergence."""
        assert self.trainer is not None
        self.trainer.kl_of_step.clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Stop without writing a state if the divergence exceeds the limit."""
        assert self.trainer is not None
        parts = self.trainer.kl_of_step
        self.kl = sum(parts) / len(parts)
        if not self.kl <= self._bound:
            self.stopped_at = state.global_step
            control.should_training_stop = True
            control.should_save = False

    def go_back(self, folder: Path) -> int:
        """Load the weights of the last good state into the trainer; returns its step.

        Raises:
            DivergenceError: there is none.
        """
        assert self.trainer is not None
        assert self.stopped_at is not None
        steps = [int(one.name.rpartition("-")[2]) for one in folder.glob("checkpoint-*")]
        # The initial weights of this step are the final ones of the previous step.
        good = max((step for step in steps if step < self.stopped_at - 1), default=None)
        what = f"step {self.stopped_at}: kl {self.kl:.3g} is above max_kl {self._bound:.3g}"
        if good is None:
            raise DivergenceError(
                f"{what}, and there is no state of an earlier step to go back to; lower "
                "optimiser.learning_rate or save_every"
            )
        state = folder / f"checkpoint-{good}"
        if self.trainer.is_deepspeed_enabled:
            from transformers.integrations.deepspeed import deepspeed_load_checkpoint

            is_whole = not hasattr(self.trainer.model, "peft_config")
            deepspeed_load_checkpoint(
                self.trainer.model_wrapped, str(state), load_module_strict=is_whole
            )
        else:
            self.trainer._load_from_checkpoint(str(state), self.trainer.model)
        logger.warning("%s; the training ends with the judge of step %d", what, good)
        return good
