"""transformers' Trainer with the loss of a judge's answers, reported by part.

Not TRL's ``SFTTrainer``, because it requires ``Qwen3VLProcessor``, whose video part needs
torchvision, truncates long conversations, and on a CPU computes logits of the prompt's tokens,
which have no loss.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers import Trainer

from spatialreward.errors import SpatialRewardError
from spatialreward.progress import ReportMetrics
from spatialreward.training.collating import IGNORED, Collator
from spatialreward.training.optimisers import muon_and_adamw
from spatialreward.training.reporting import Losses, Speed
from spatialreward.training.tuning import size_of

if TYPE_CHECKING:
    from transformers import TrainerCallback, TrainingArguments

    from spatialreward.training.conversations import Planned

_FLOPS_A_WEIGHT = 6
"""Two for the forward pass and four for the backward pass, per token; four if frozen."""
_FLOPS_A_FROZEN_WEIGHT = 4


class DivergedError(SpatialRewardError, RuntimeError):
    """The loss is NaN or infinite; the message names the batch."""


class JudgeTrainer(Trainer):
    """Trains on the answers of conversations; ``B``, ``L`` and ``K`` as in ``Collator``."""

    def __init__(
        self,
        model: torch.nn.Module,
        arguments: "TrainingArguments",
        conversations: "Planned",
        collator: Collator,
        *,
        matrices: str,
        report: ReportMetrics,
        callbacks: "list[TrainerCallback]",
    ) -> None:
        """Set up a training.

        Args:
            model: prepared, see ``tuning.prepare``.
            arguments: see ``training_arguments``.
            conversations: in training order.
            collator: makes the batches.
            matrices: optimiser for matrices of hidden layers, ``adamw`` or ``muon``.
            report: receives the metrics, in the first process.
            callbacks: the Trainer's.
        """
        super().__init__(
            model,
            arguments,
            data_collator=collator,
            train_dataset=conversations,
            callbacks=callbacks,
        )
        # The loss is divided here by the tokens of a whole update, independent of the model.
        self.model_accepts_loss_kwargs = True
        self._matrices = matrices
        self._report = report
        self._losses = Losses(collator.names)
        self._speed = Speed(_flops_a_token(model), self.args.device)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """The Trainer's own AdamW, or Muon and AdamW."""
        if self._matrices == "muon" and self.optimizer is None:
            self.optimizer = muon_and_adamw(
                model or self.model, self.args.learning_rate, self.args.weight_decay
            )
        return super().create_optimizer(model)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The sum over this batch's answer tokens, divided by their number in the whole update.

        Raises:
            DivergedError: the loss is NaN or infinite.
        """
        assert not return_outputs
        assert num_items_in_batch is not None
        labels_BK, parts_BK = inputs.pop("labels"), inputs.pop("parts")
        ids, _ = inputs.pop("ids"), inputs.pop("shift_labels")
        kept = labels_BK.shape[1] + 1
        logits_BKV = model(**inputs, logits_to_keep=kept, use_cache=False).logits[:, :-1]
        loss = self.answer_loss(logits_BKV, labels_BK, parts_BK) / num_items_in_batch
        self._speed.add(inputs["attention_mask"])
        return self.checked(loss, ids)

    def answer_loss(
        self, logits_BKV: torch.Tensor, labels_BK: torch.Tensor, parts_BK: torch.Tensor
    ) -> torch.Tensor:
        """The sum over a batch's answer tokens, also recorded by part."""
        loss_BK = functional.cross_entropy(
            logits_BKV.float().flatten(0, 1),
            labels_BK.flatten(),
            ignore_index=IGNORED,
            reduction="none",
        ).view_as(labels_BK)
        self._losses.add(loss_BK, parts_BK, labels_BK != IGNORED)
        return loss_BK.sum()

    def checked(self, loss: torch.Tensor, ids: list[str]) -> torch.Tensor:
        """Check this process's part of an update's loss, and scale it for the Trainer.

        Raises:
            DivergedError: it is NaN or infinite; names the batch.
        """
        if not torch.isfinite(loss):
            raise DivergedError(
                f"step {self.state.global_step + 1}: the loss is {loss.item()} in the batch of "
                f"{', '.join(ids)}; expected a number: lower the learning rate, or look at these"
            )
        # The Trainer averages gradients over processes, each of which has a part of the sum.
        return loss * self.accelerator.num_processes

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Report the Trainer's metrics under our names, with further ones."""
        if "loss" not in logs:
            return
        metrics = self.take_figures(lambda sums: self.accelerator.reduce(sums, reduction="sum"))
        metrics |= self._speed.take(self.accelerator.num_processes)
        metrics["loss/all"] = logs["loss"]
        metrics["optimiser/learning_rate"] = logs["learning_rate"]
        if "grad_norm" in logs:
            metrics["optimiser/gradient_norm"] = logs["grad_norm"]
        if self.is_world_process_zero():
            self._report(metrics, self.state.global_step)

    def take_figures(self, gather: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        """Figures since the last report, over all processes."""
        return self._losses.take(gather)


def _flops_a_token(model: torch.nn.Module) -> float:
    """Of the language model's matrices, which dominate; pictures are tokens there too."""
    total = 0
    for name, weight in model.named_parameters():
        if "embed_tokens" in name:
            continue
        total += size_of(weight) * (
            _FLOPS_A_WEIGHT if weight.requires_grad else _FLOPS_A_FROZEN_WEIGHT
        )
    return float(total)
