"""Requests that break the contract in one way each, as no client of ours would send them."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2
from tritonclient.utils import serialize_byte_tensor

from spatialreward.records import REQUEST_TENSORS
from spatialreward.serving.config import ServingConfig
from tests.triton.hostile_edits import PLAIN

LIMITS = ServingConfig()
REQUIRED = [one.name for one in REQUEST_TENSORS if not one.optional]
TENSORS = [one.name for one in REQUEST_TENSORS]


class Tensor(NamedTuple):
    """A tensor as it goes over the wire, whether or not its parts fit together."""

    datatype: str
    shape: tuple[int, ...]
    raw: bytes


def texts(values):
    raw = serialize_byte_tensor(np.array(values, dtype=object)).item() if values else b""
    return Tensor("BYTES", (len(values), 1), raw)


def integers(values):
    return Tensor("INT64", (len(values), 1), np.array(values, np.int64).tobytes())


def tensors_of(edits):
    """The required tensors of a request, by name."""
    columns = zip(*edits, strict=True) if edits else [()] * len(REQUIRED)
    return {name: texts(list(column)) for name, column in zip(REQUIRED, columns, strict=True)}


def message_of(tensors):
    message = service_pb2.ModelInferRequest(model_name="judge")
    for name, tensor in tensors.items():
        message.inputs.add(name=name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_input_contents.append(tensor.raw)
    return message


def plain(count=1, **changes):
    """A request with which nothing is wrong, but for what is changed."""
    return message_of(tensors_of([PLAIN] * count) | changes)


def lacking(name):
    tensors = tensors_of([PLAIN])
    del tensors[name]
    return message_of(tensors)


def disagreeing(name, counts):
    """One tensor holds another number of edits than the others."""
    return plain(counts[0], **{name: tensors_of([PLAIN] * counts[1])[name]})


def shaped(name, shape):
    return plain(**{name: tensors_of([PLAIN])[name]._replace(shape=shape)})


def typed(name, datatype, raw):
    return plain(**{name: Tensor(datatype, (1, 1), raw)})


def with_sources(count, number):
    sources = texts([PLAIN.source] * count * number)._replace(shape=(count, number))
    return plain(count, SOURCE=sources)


def opted(count, name, value):
    """The last of the edits has an option that there is not."""
    good = {"STREAMS": b"both", "REWARD_FROM": b"soft", "PRIORITY": 0, "SEED": -1}[name]
    column = texts if isinstance(good, bytes) else integers
    return plain(count, **{name: column([good] * (count - 1) + [value])})


def twice(name):
    message = plain()
    message.inputs.add(name=name, datatype="BYTES", shape=(1, 1))
    message.raw_input_contents.append(texts([b"again"]).raw)
    return message


def with_contents(number):
    """Only so many of the tensors have contents."""
    message = plain()
    del message.raw_input_contents[number:]
    return message


def with_contents_twice(number):
    message = plain()
    message.inputs[number].contents.bytes_contents.append(b"again")
    return message


def asking_for(name):
    message = plain()
    message.outputs.add(name=name)
    return message


def is_a_text(raw):
    return len(raw) >= 4 and int.from_bytes(raw[:4], "little") == len(raw) - 4


_INT64 = st.integers(-(2**63), 2**63 - 1)
_COUNT = st.integers(1, 3)
_NAME = st.sampled_from(REQUIRED)
_NUMBER = st.integers(0, 2)
_NO_NAME = st.text(max_size=20).filter(lambda name: name not in TENSORS)
_NO_TYPE = st.sampled_from(["BOOL", "UINT8", "INT32", "FP16", "FP32", "FP64", "BF16", ""])
_NO_TEXT = st.binary(max_size=40).filter(lambda raw: not is_a_text(raw))
_NO_SHAPE = st.lists(st.integers(-2, 70) | _INT64, max_size=4).filter(lambda shape: shape != [1, 1])
_NO_PRIORITY = _INT64.filter(lambda value: not 0 <= value <= 9)
_TWO_COUNTS = st.lists(st.integers(1, 9), min_size=2, max_size=2, unique=True)
_TEXT_OPTION = st.sampled_from(["STREAMS", "REWARD_FROM"])
_TOO_MANY_SOURCES = st.integers(LIMITS.max_sources + 1, 40)
_TOO_MANY_EDITS = st.integers(LIMITS.max_request_edits + 1, 90)

REQUESTS = st.one_of(
    st.builds(lacking, _NAME),
    st.builds(typed, _NO_NAME, st.just("BYTES"), st.binary(max_size=9)),
    st.builds(typed, st.sampled_from(TENSORS), _NO_TYPE | st.text(max_size=9), st.binary()),
    st.builds(typed, _NAME, st.just("BYTES"), _NO_TEXT),
    st.builds(disagreeing, _NAME, _TWO_COUNTS),
    st.builds(shaped, _NAME, _NO_SHAPE),
    st.builds(plain, st.just(0) | _TOO_MANY_EDITS),
    st.builds(with_sources, _COUNT, st.just(0) | _TOO_MANY_SOURCES),
    st.builds(opted, _COUNT, st.just("PRIORITY"), _NO_PRIORITY),
    st.builds(opted, _COUNT, st.just("SEED"), st.integers(-(2**63), -2)),
    st.builds(opted, _COUNT, _TEXT_OPTION, st.binary(min_size=1, max_size=9)),
    st.builds(twice, _NAME),
    st.builds(with_contents, _NUMBER),
    st.builds(with_contents_twice, _NUMBER),
    st.builds(asking_for, _NO_NAME),
)
