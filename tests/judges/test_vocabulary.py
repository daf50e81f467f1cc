import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl.vocabulary import Digits, Vocabulary, Whole
from tests.judges.qwen_like import qwen_like_tokenizer


@pytest.fixture(scope="module")
def qwen_like():
    return qwen_like_tokenizer()


def test_scores_that_are_one_token_each_are_reported_in_order(untrained):
    tokenizer = untrained[1].tokenizer
    scores = Vocabulary(tokenizer).scores
    assert isinstance(scores, Whole)
    assert [tokenizer.decode([token]) for token in scores.scores] == list(map(str, range(26)))


def test_a_tokenizer_that_splits_numbers_has_digits_and_endings(qwen_like):
    scores = Vocabulary(qwen_like).scores
    assert isinstance(scores, Digits)
    assert [qwen_like.decode([token]) for token in scores.digits] == list("0123456789")
    endings = {qwen_like.decode([token]) for token in scores.endings}
    assert {",", "]", "]}", " ", "\n"} <= endings
    assert all(not text.strip(" \t\n\r,]}") for text in endings)
    assert [len(scores.after(digit)) for digit in range(10)] == [0, 10, 6, 0, 0, 0, 0, 0, 0, 0]


def test_tokens_are_reported_as_the_bytes_that_they_spell(qwen_like):
    bytes_of = Vocabulary(qwen_like).bytes_of
    for text in ("红色 🧣", "<think>\n", '"score": [20, 22]'):
        tokens = qwen_like(text, add_special_tokens=False)["input_ids"]
        assert b"".join(bytes_of[token] for token in tokens).decode() == text
    assert qwen_like.eos_token_id not in bytes_of


def test_tokens_that_do_not_spell_bytes_are_refused():
    words = Tokenizer(models.WordLevel({"▁hello": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    with pytest.raises(InvalidInputError, match=r"token 0 .* does not spell bytes"):
        _ = Vocabulary(tokenizer).bytes_of
