"""Greedy answers of a model, with the distribution over each score."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from spatialreward.judge.processor import Processor, Question
from spatialreward.records import MAX_SCORE

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, Qwen3VLForConditionalGeneration

_AT_A_SCORE = re.compile(r'"score": ?\[ ?(?:\d+, ?)?$')
_TAIL_TOKENS = 8


class Generated(NamedTuple):
    """One answer."""

    text: str
    complete: bool
    """False when the answer was cut off at the longest allowed length."""
    soft_scores: tuple[float, ...]
    """Probability-weighted mean of each score, 0..25, in the order they were written."""


class ScoreReader:
    """A logits processor that keeps each score a number 0..25 and notes its distribution.

    Soft scores need every score to be one token; with a tokenizer that splits numbers into digits
    nothing is constrained and no soft score is noted.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", prompt_length: int, rows: int) -> None:
        """Watch ``rows`` answers that begin after ``prompt_length`` tokens."""
        import torch

        encoded = [
            tokenizer(str(score), add_special_tokens=False)["input_ids"]
            for score in range(int(MAX_SCORE) + 1)
        ]
        self._single = all(len(tokens) == 1 for tokens in encoded)
        self._score_tokens = torch.tensor([tokens[0] for tokens in encoded])
        self._tokenizer = tokenizer
        self._prompt_length = prompt_length
        self.soft_scores: list[list[float]] = [[] for _ in range(rows)]

    def __call__(self, input_ids: "torch.Tensor", logits: "torch.Tensor") -> "torch.Tensor":
        """Constrain ``logits`` of ``[B, V]`` where the answer so far stands before a score."""
        import torch

        if not self._single:
            return logits
        start = max(self._prompt_length, input_ids.shape[1] - _TAIL_TOKENS)
        tails = self._tokenizer.batch_decode(input_ids[:, start:])
        score_tokens = self._score_tokens.to(logits.device)
        values = torch.arange(len(score_tokens), device=logits.device, dtype=torch.float32)
        for row, tail in enumerate(tails):
            if not _AT_A_SCORE.search(tail):
                continue
            chosen = logits[row, score_tokens].float()
            self.soft_scores[row].append(float((chosen.softmax(dim=0) * values).sum()))
            kept = logits[row, score_tokens].clone()
            logits[row] = float("-inf")
            logits[row, score_tokens] = kept
        return logits


def generate(
    model: "Qwen3VLForConditionalGeneration",
    processor: Processor,
    questions: Sequence[Question],
    max_answer_tokens: int,
) -> list[Generated]:
    """One greedy answer a question, in one batch."""
    import torch
    from transformers import LogitsProcessorList

    inputs = {name: value.to(model.device) for name, value in processor.encode(questions).items()}
    prompt_length = inputs["input_ids"].shape[1]
    reader = ScoreReader(processor.tokenizer, prompt_length, len(questions))
    with torch.inference_mode():
        output = model.generate(
            **inputs,
            max_new_tokens=max_answer_tokens,
            do_sample=False,
            logits_processor=LogitsProcessorList([reader]),
        )
    answers = output[:, prompt_length:]
    complete = (answers == processor.tokenizer.eos_token_id).any(dim=1).tolist()
    texts = processor.tokenizer.batch_decode(answers, skip_special_tokens=True)
    return [
        Generated(text, done, tuple(soft))
        for text, done, soft in zip(texts, complete, reader.soft_scores, strict=True)
    ]
