import pytest
import torch

from spatialreward.judge.scores import ScoreChooser


@pytest.fixture
def tokenizer(untrained):
    return untrained[1].tokenizer


def test_where_a_score_is_due_only_0_to_25_are_possible(tokenizer):
    logits = torch.randn(2, len(tokenizer))
    untouched = logits[1].clone()
    ScoreChooser(tokenizer).constrain(logits, [0])
    possible = tokenizer.batch_decode(torch.isfinite(logits[0]).nonzero())
    assert sorted(map(int, possible)) == list(range(26))
    assert torch.equal(logits[1], untouched)


def test_a_soft_score_is_the_probability_weighted_mean(tokenizer):
    logits = torch.full((1, len(tokenizer)), -1e9)
    ten, twenty, word = (
        tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in ("10", "20", "circle")
    )
    # Three to one for 20 over 10; what is no score does not count, however likely it is.
    logits[0, ten], logits[0, twenty], logits[0, word] = 0.0, torch.log(torch.tensor(3.0)), 50.0
    assert ScoreChooser(tokenizer).constrain(logits, [0]) == [pytest.approx(17.5)]


def test_scores_of_several_tokens_are_neither_constrained_nor_averaged():
    def digits(text, add_special_tokens):
        return {"input_ids": [int(digit) for digit in text]}

    logits = torch.randn(1, 10)
    before = logits.clone()
    assert ScoreChooser(digits).constrain(logits, [0]) == []
    assert torch.equal(logits, before)
