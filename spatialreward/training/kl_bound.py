"""Ends a GRPO whose judge has gone too far from the one it began with, and goes back a state.

A step's divergence is that of the weights it begins with. So when it is above the bound, a state
that was written just before it is too, and the last good state is the one before that.
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
    """The judge went too far before there was a state to go back to."""


class KlBound(TrainerCallback):
    """Watches a training; ``trainer`` is set when there is one."""

    def __init__(self, bound: float | None) -> None:
        """End at a divergence above ``bound``, or at one that is no number; None: no bound."""
        self._bound = math.inf if bound is None else bound
        self.trainer: GrpoTrainer | None = None
        self.stopped_at: int | None = None
        """The step whose divergence was above the bound; None: none was."""
        self.kl = 0.0
        """Of the last step."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Forget the step before."""
        assert self.trainer is not None
        self.trainer.kl_of_step.clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """End here, without writing a state, if the step went too far."""
        assert self.trainer is not None
        parts = self.trainer.kl_of_step
        self.kl = sum(parts) / len(parts)
        if not self.kl <= self._bound:
            self.stopped_at = state.global_step
            control.should_training_stop = True
            control.should_save = False

    def go_back(self, folder: Path) -> int:
        """Give the trainer the weights of the last good state; returns the step it is of.

        Raises:
            DivergenceError: there is none.
        """
        assert self.trainer is not None
        assert self.stopped_at is not None
        steps = [int(one.name.rpartition("-")[2]) for one in folder.glob("checkpoint-*")]
        # The weights that this step began with are those behind the one before.
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
