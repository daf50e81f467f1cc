"""Text features of instructions from Qwen2.5-VL's language model, without pictures."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from spatialreward.editors.omnigen2.blocks import padded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

# B instructions, N tokens, D width of a feature

# The trained weights depend on the exact text of both.
IMAGE_SYSTEM = (
    "You are a helpful assistant that generates high-quality images based on user instructions."
)
PLAIN_SYSTEM = "You are a helpful assistant."


class TextFeatures:
    """A tokenizer with a chat template, and a language model without its output layer."""

    def __init__(
        self, language_model: nn.Module, tokenizer: "PreTrainedTokenizerBase", max_tokens: int
    ) -> None:
        """Use loaded parts.

        Args:
            language_model: returns its last hidden state, after the final norm.
            tokenizer: with a chat template.
            max_tokens: truncation length.
        """
        self._language_model = language_model
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    @torch.no_grad()
    def of(self, instructions: Sequence[str], system: str) -> tuple[Tensor, Tensor]:
        """Features ``[B, N, D]``, zero in the padding after them, and the mask ``[B, N]``."""
        device = next(self._language_model.parameters()).device
        ids = [self._token_ids(one, system) for one in instructions]
        mask_BN = padded([torch.ones(len(one), dtype=torch.long) for one in ids]).to(device)
        found = self._language_model(
            input_ids=padded([torch.tensor(one) for one in ids]).to(device),
            attention_mask=mask_BN,
            use_cache=False,
        )
        return found.last_hidden_state * mask_BN.unsqueeze(-1), mask_BN

    def _token_ids(self, instruction: str, system: str) -> list[int]:
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": instruction},
        ]
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=False
        )
        ids = self._tokenizer(text)["input_ids"]
        if len(ids) > self._max_tokens:
            logger.warning(
                "an instruction of %d tokens with its template is cut to %d: %s",
                *(len(ids), self._max_tokens, instruction[:80]),
            )
        return ids[: self._max_tokens]
