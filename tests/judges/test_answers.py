import json

import pytest

from spatialreward.judges.qwen_vl.answers import GrowingAnswer
from spatialreward.judges.qwen_vl.vocabulary import Vocabulary
from tests.judges.qwen_like import qwen_like_tokenizer

ANSWER = json.dumps(
    {"reasoning": "红色的围巾 🧣 ist naïv, größer", "score": [20, 22]}, ensure_ascii=False
)


@pytest.fixture(scope="module")
def tokenizer():
    return qwen_like_tokenizer()


@pytest.fixture
def growing(tokenizer):
    return GrowingAnswer(Vocabulary(tokenizer).bytes_of)


def encoded(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_characters_of_several_tokens_are_read_whole(tokenizer, growing):
    tokens = encoded(tokenizer, ANSWER)
    assert "\N{REPLACEMENT CHARACTER}" in "".join(tokenizer.decode([token]) for token in tokens)
    for token in tokens:
        growing.write(token)
    assert growing.text == ANSWER
    assert growing.is_complete


def test_an_unfinished_character_is_reported_as_unreadable(tokenizer, growing):
    for token in encoded(tokenizer, "a 🧣")[:-1]:
        growing.write(token)
    assert growing.text == "a \N{REPLACEMENT CHARACTER}"


def test_special_tokens_are_no_text(tokenizer, growing):
    for token in encoded(tokenizer, '<|im_start|>{"reasoning": "ok"}<|im_end|>'):
        growing.write(token)
    assert growing.text == '{"reasoning": "ok"}'


def test_a_thought_that_the_prompt_began_is_in_the_text_from_its_beginning(tokenizer):
    growing = GrowingAnswer(Vocabulary(tokenizer).bytes_of, thinking=True)
    for token in encoded(tokenizer, "{so} it is</think>{}"):
        growing.write(token)
    assert growing.text == "<think>{so} it is</think>{}"
    assert growing.is_complete
