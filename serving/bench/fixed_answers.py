"""Trains a random model on fixed answers, and computes its soft scores by brute force."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl.processor import IGNORED_LABEL, Processor
from spatialreward.judges.qwen_vl.vocabulary import Digits
from spatialreward.progress import track

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def teach(
    model: "PreTrainedModel",
    processor: Processor,
    questions: Sequence[Question],
    answers: Sequence[str],
    *,
    max_steps: int = 200,
    learning_rate: float = 3e-3,
    enough: float = 0.005,
    num_others: int = 2048,
) -> float:
    """Overfit a model to one answer a question; returns the last loss.

    The answers' tokens compete with ``num_others`` newly drawn ones in each step: with all of
    Qwen's vocabulary a step would take twenty times as long.
    """
    import torch

    inputs = processor.encode(questions, answers)
    labels = inputs.pop("labels")[:, 1:]
    rows, columns = (labels != IGNORED_LABEL).nonzero(as_tuple=True)
    used, targets = labels[rows, columns].unique(return_inverse=True)
    weights_VH = model.lm_head.weight
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    model.train()
    last = float("inf")
    for _ in track(range(max_steps), total=max_steps, description="teaching fixed answers"):
        others = torch.randperm(len(weights_VH))[:num_others]
        others = others[~torch.isin(others, used)]
        hidden = model.model(**inputs).last_hidden_state[rows, columns]
        logits = hidden @ weights_VH[torch.cat([used, others])].T
        loss = torch.nn.functional.cross_entropy(logits, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        last = loss.item()
        if last < enough:
            break
    model.eval()
    return last


def brute_force_mean(
    model: "PreTrainedModel",
    processor: Processor,
    question: Question,
    before: Sequence[int],
    tokens: Digits,
) -> float:
    """Mean of the score after ``before``, by full forward passes for each of 0..25.

    Shares and caches nothing between passes: each encodes prompt and answer from the start.
    """
    mean = total = 0.0
    for score in range(26):
        first, second = str(score)[0], str(score)[1:]
        token = tokens.digits[int(first)]
        chance = _chances(model, processor, question, before, tokens.digits)[token]
        if seconds := tokens.after(int(first)):
            among = (*seconds, *tokens.endings)
            behind = _chances(model, processor, question, [*before, token], among)
            kept = [tokens.digits[int(second)]] if second else tokens.endings
            chance *= sum(behind[one] for one in kept)
        mean, total = mean + chance * score, total + chance
    assert abs(total - 1.0) < 1e-6, f"the chances of 0..25 sum to {total}"
    return mean


def _chances(
    model: "PreTrainedModel",
    processor: Processor,
    question: Question,
    written: Sequence[int],
    among: Sequence[int],
) -> dict[int, float]:
    import torch

    inputs = processor.encode([question])
    added = torch.tensor([list(written)], dtype=torch.long)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], added], dim=1)
    for name, value in (("attention_mask", 1), ("mm_token_type_ids", 0)):
        extra = torch.full_like(added, value, dtype=inputs[name].dtype)
        inputs[name] = torch.cat([inputs[name], extra], dim=1)
    with torch.inference_mode():
        hidden = model.model(**inputs).last_hidden_state[:, -1]
        logits_V = model.lm_head(hidden)[0]
    return dict(zip(among, logits_V[list(among)].double().softmax(0).tolist(), strict=True))
