"""Scores read off a model's logits: one token each, with the mean of its distribution."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from spatialreward.judge.answer_schema import score_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ScoreChooser:
    """Keeps each score a whole number 0..25 and tells the mean of its distribution.

    Both need every score to be one token; with a tokenizer that splits numbers into digits nothing
    is constrained and there are no means.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Find the scores' tokens."""
        tokens = score_tokens(tokenizer)
        self._tokens = None if tokens is None else torch.tensor(tokens)

    def constrain(self, logits_RV: torch.Tensor, rows: Sequence[int]) -> list[float]:
        """Rule out everything but scores in these rows, in place; returns their means, 0..25."""
        if self._tokens is None or not rows:
            return []
        tokens = self._tokens.to(logits_RV.device)
        at = torch.tensor(rows, device=logits_RV.device)[:, None]
        kept = logits_RV[at, tokens]
        logits_RV[at[:, 0]] = float("-inf")
        logits_RV[at, tokens] = kept
        values = torch.arange(len(tokens), device=logits_RV.device, dtype=torch.float32)
        return (kept.float().softmax(dim=1) @ values).tolist()
