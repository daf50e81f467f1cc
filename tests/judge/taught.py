"""Teaches a model of random weights fixed answers, word for word, in seconds."""

import torch

from spatialreward.judge.processor import IGNORED_LABEL


def teach(model, processor, questions, answers, *, steps=150, learning_rate=3e-3):
    """Overfit a model to one answer a question."""
    inputs = processor.encode(questions, answers)
    labels = inputs.pop("labels")[:, 1:]
    rows, columns = (labels != IGNORED_LABEL).nonzero(as_tuple=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    model.train()
    for _ in range(steps):
        hidden = model.model(**inputs).last_hidden_state[rows, columns]
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden), labels[rows, columns])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.005:
            break
    model.eval()
