import base64

import pytest

from serving.bench.qwen_vocabulary import qwen_tokenizer, read_ranks
from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl.vocabulary import Digits, Vocabulary

MERGED = [b"he", b"ll", b"hell", b"hello", b" w", "围".encode()[:2], "围".encode()]
RANKS = {bytes([byte]): byte for byte in range(256)} | {
    token: 256 + number for number, token in enumerate(MERGED)
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks") / "qwen.tiktoken"
    lines = [b"%s %d" % (base64.b64encode(token), rank) for token, rank in RANKS.items()]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return qwen_tokenizer(read_ranks(path))


def test_each_token_keeps_its_rank(tokenizer):
    assert tokenizer("hello 围", add_special_tokens=False)["input_ids"] == [259, 32, 262]


def test_digits_are_split_and_thoughts_are_text(tokenizer):
    scores = Vocabulary(tokenizer).scores
    assert isinstance(scores, Digits)
    assert scores.digits == tuple(range(ord("0"), ord("9") + 1))
    tokens = tokenizer("<think>25</think><|im_end|>", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(tokens, skip_special_tokens=True) == "<think>25</think>"


def test_what_holds_no_ranks_is_refused(tmp_path):
    (tmp_path / "ranks").write_text("not base64!\n")
    with pytest.raises(InvalidInputError, match="ranks: is no file of ranks"):
        read_ranks(tmp_path / "ranks")
    with pytest.raises(InvalidInputError, match="nowhere: is no file of ranks"):
        read_ranks(tmp_path / "nowhere")
