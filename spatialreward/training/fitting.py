"""Runs one training: a model, ordered conversations, and snapshots on the way."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import TrainerCallback

from spatialreward.progress import ReportMetrics
from spatialreward.training.collating import Collator
from spatialreward.training.conversations import Planned
from spatialreward.training.head_trainer import HeadTrainer, HeadWeights
from spatialreward.training.reporting import Progress
from spatialreward.training.states import States
from spatialreward.training.trainer import JudgeTrainer

if TYPE_CHECKING:
    from transformers import TrainingArguments


class Snapshot(NamedTuple):
    """A callback after one of a training's steps, in every process."""

    step: int
    take: Callable[[JudgeTrainer], None]


class _Snapshots(TrainerCallback):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.trainer: JudgeTrainer | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if state.global_step == self._snapshot.step:
            assert self.trainer is not None
            self._snapshot.take(self.trainer)


class _LastReport(TrainerCallback):
    """Makes the Trainer report after the last step, too."""

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        control.should_log |= state.global_step == state.max_steps


def fit(
    model: torch.nn.Module,
    arguments: "TrainingArguments",
    conversations: Planned,
    collator: Collator,
    *,
    matrices: str,
    report: ReportMetrics,
    description: str,
    states: States | None = None,
    snapshot: Snapshot | None = None,
    weights: HeadWeights | None = None,
) -> JudgeTrainer:
    """Train in place, from the last state if there is one; returns the trainer, for saving.

    ``weights`` are those of the losses of a scalar head, if the model has one.

    Raises:
        DivergedError: the loss is NaN or infinite.
        InvalidInputError: a picture cannot be decoded, or a row of the data is damaged.
    """
    callbacks: list[TrainerCallback] = [_LastReport()]
    if arguments.process_index == 0:
        callbacks.append(Progress(description))
    if states is not None:
        callbacks.append(states)
    if snapshot is not None:
        callbacks.append(snapshots := _Snapshots(snapshot))
    more: dict[str, Any] = {"matrices": matrices, "report": report, "callbacks": callbacks}
    trainer = (
        JudgeTrainer(model, arguments, conversations, collator, **more)
        if weights is None
        else HeadTrainer(model, arguments, conversations, collator, weights=weights, **more)
    )
    if snapshot is not None:
        snapshots.trainer = trainer
    last = states.last if states is not None else None
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    model.eval()
    return trainer
