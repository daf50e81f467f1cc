import pytest
import torch

from spatialreward.data.config import DataConfig
from spatialreward.judge.generation import ScoreReader
from spatialreward.training.grounding import untrained_tiny


@pytest.fixture(scope="module")
def tokenizer():
    return untrained_tiny(0, DataConfig(seed=21))[1].tokenizer


def reader_at(tokenizer, text):
    """A reader and the tokens of an answer that has come as far as ``text``."""
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    prompt = tokenizer("quality", add_special_tokens=False)["input_ids"]
    return ScoreReader(tokenizer, len(prompt), rows=1), torch.tensor([prompt + tokens])


@pytest.mark.parametrize("text", ['{"reasoning": "clean", "score": [', 'clean", "score": [25, '])
def test_where_a_score_is_due_only_0_to_25_are_possible(tokenizer, text):
    reader, ids = reader_at(tokenizer, text)
    logits = reader(ids, torch.randn(1, len(tokenizer)))
    possible = tokenizer.batch_decode(torch.isfinite(logits[0]).nonzero())
    assert sorted(map(int, possible)) == list(range(26))


@pytest.mark.parametrize("text", ['{"reasoning": "', '"score": [25, 25', '"bbox_2d": ['])
def test_elsewhere_nothing_is_constrained(tokenizer, text):
    reader, ids = reader_at(tokenizer, text)
    logits = torch.randn(1, len(tokenizer))
    assert torch.equal(reader(ids, logits.clone()), logits)
    assert reader.soft_scores == [[]]


def test_a_soft_score_is_the_probability_weighted_mean(tokenizer):
    reader, ids = reader_at(tokenizer, 'clean", "score": [')
    logits = torch.full((1, len(tokenizer)), -1e9)
    ten, twenty, word = (
        tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in ("10", "20", "circle")
    )
    # Three to one for 20 over 10; what is no score does not count, however likely it is.
    logits[0, ten], logits[0, twenty], logits[0, word] = 0.0, torch.log(torch.tensor(3.0)), 50.0
    reader(ids, logits)
    assert reader.soft_scores[0] == [pytest.approx(17.5)]
