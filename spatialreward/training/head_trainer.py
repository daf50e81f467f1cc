"""The trainer of a judge with a scalar head: the head's loss, plus that of generated answers.

Each loss is a mean over a whole update, over all processes and accumulation steps: of tokens, of
pairs and of known scores. So the gradient does not depend on how an update is divided.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from spatialreward.judges.qwen_vl.folder import HEAD_FILE
from spatialreward.judges.qwen_vl.scalar_head import read_head, write_head
from spatialreward.training.collating import IGNORED
from spatialreward.training.head import head_in, head_weights
from spatialreward.training.pairs import compared, head_losses
from spatialreward.training.trainer import JudgeTrainer


class HeadWeights(NamedTuple):
    """Weights of the head's losses; the loss of the answers has weight 1."""

    pairs: float
    known_scores: float


class _Counts(NamedTuple):
    """Divisors of the losses in a whole update."""

    tokens: torch.Tensor
    pairs: torch.Tensor
    known: torch.Tensor


class HeadTrainer(JudgeTrainer):
    """Trains a model with a head from ``head.attach_head``; ``B`` samples a batch."""

    def __init__(self, *given: Any, weights: HeadWeights, **more: Any) -> None:
        """As ``JudgeTrainer``, with the weights of the head's losses."""
        super().__init__(*given, **more)
        self._weights = weights
        # Losses and numbers of pairs and of known scores, correct and decided pairs.
        self._sums = torch.zeros(6, dtype=torch.float64)
        self._num_updates = 0

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """All losses of this batch, each divided by its count in the whole update.

        Raises:
            DivergedError: the loss is NaN or infinite.
        """
        assert not return_outputs
        assert num_items_in_batch is not None
        counts = _Counts(*num_items_in_batch.clamp(min=1))
        labels_BK, parts_BK = inputs.pop("labels"), inputs.pop("parts")
        ids, columns_B2 = inputs.pop("ids"), inputs.pop("columns")
        groups_B, values_B2, known_B2 = (inputs.pop(name) for name in ("groups", "values", "known"))
        kept = labels_BK.shape[1] + 1
        outputs = model(**inputs, logits_to_keep=kept, use_cache=False)
        head = head_losses(outputs["scalars"].gather(1, columns_B2), groups_B, values_B2, known_B2)
        loss = (
            self.answer_loss(outputs["logits"][:, :-1], labels_BK, parts_BK) / counts.tokens
            + self._weights.pairs * head.pairs / counts.pairs
            + self._weights.known_scores * head.known / counts.known
        )
        counted = [float(one) for one in head.detached()]
        self._sums += torch.tensor(counted, dtype=torch.float64)
        self._speed.add(inputs["attention_mask"])
        return self.checked(loss, ids)

    def take_figures(self, gather: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        """Losses of answers and head, pairs per update, and the share in the correct order."""
        figures = super().take_figures(gather)
        sums = gather(self._sums.to(self.args.device, torch.float32)).cpu().tolist()
        pairs, num_pairs, known, num_known, num_right, num_decided = sums
        if self._weights.pairs:
            figures["pairs/per_batch"] = num_pairs / max(1, self._num_updates)
        if self._weights.pairs and num_pairs:
            figures["loss/pairs"] = pairs / num_pairs
        if self._weights.pairs and num_decided:
            figures["pairs/accuracy"] = num_right / num_decided
        if self._weights.known_scores and num_known:
            figures["loss/known_scores"] = known / num_known
        self._sums = torch.zeros_like(self._sums)
        self._num_updates = 0
        return figures

    def _get_num_items_in_batch(
        self, batch_samples: list[dict[str, torch.Tensor]], device: torch.device
    ) -> torch.Tensor:
        """Tokens, pairs and known scores of the update, over all processes."""
        counts = torch.zeros(3, dtype=torch.float32)
        for one in batch_samples:
            counts += torch.tensor(
                [
                    int((one["labels"] != IGNORED).sum()),
                    len(compared(one["groups"], one["values"]).first_P),
                    int((~one["known"].isnan()).sum()),
                ]
            )
        self._num_updates += 1
        return self.accelerator.reduce(counts.to(device), reduction="sum")

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save the Trainer's state, and the head beside it: with LoRA it would omit the head."""
        super()._save(output_dir, state_dict)
        if self.args.should_save and output_dir is not None:
            weights = head_weights(state_dict or self.model.state_dict())
            write_head(Path(output_dir), head_in(self.model), weights)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        head = head_in(model or self.model)
        if (Path(resume_from_checkpoint) / HEAD_FILE).is_file():
            kept = read_head(Path(resume_from_checkpoint), head.linear.in_features)
            head.load_state_dict(kept.state_dict())
