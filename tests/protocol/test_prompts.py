import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.prompts import FULL, PROTOCOL_FILE, TINY, Protocol


def test_a_protocol_is_read_as_it_was_written(tmp_path):
    FULL.write(tmp_path)
    assert Protocol.read(tmp_path) == FULL


def test_a_protocol_may_begin_with_a_byte_order_mark(tmp_path):
    text = FULL.model_dump_json(indent=2).replace("\n", "\r\n")
    (tmp_path / PROTOCOL_FILE).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert Protocol.read(tmp_path) == FULL


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"max_answer_tokens": ' + b"9" * 5_000 + b"}"])
def test_a_protocol_that_cannot_be_read_is_named(tmp_path, data):
    (tmp_path / PROTOCOL_FILE).write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"protocol\.json: "):
        Protocol.read(tmp_path)


def test_protocols_that_differ_have_different_references():
    assert TINY.reference == TINY.model_copy().reference
    assert TINY.reference.startswith("tiny@")
    longer = TINY.model_copy(update={"max_answer_tokens": TINY.max_answer_tokens + 1})
    least = TINY.model_copy(update={"aggregation": Aggregation(form="min")})
    assert len({TINY.reference, longer.reference, least.reference, FULL.reference}) == 4
