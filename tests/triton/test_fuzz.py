"""Thousands of broken requests and hostile edits: each is answered, and others stay unaffected.

Every run sends the same ones; ``--log-cli-level=INFO`` shows their number.
"""

import logging
from collections import Counter

import grpc
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import InferResult, service_pb2_grpc

from spatialreward.client.wire import judgements_of
from spatialreward.images import encode_png
from spatialreward.records import JudgementStatus
from tests.triton import broken_requests, hostile_edits
from tests.triton.broken_requests import message_of, tensors_of
from tests.triton.hostile_edits import Edit

logger = logging.getLogger(__name__)
pytestmark = pytest.mark.slow

AT_ONCE = 100
ANSWER_S = 120


def distinct(strategy, number):
    """So many examples of a strategy, the same in every run."""
    found = {}

    @settings(
        max_examples=2 * number,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(strategy)
    def collect(example):
        found[repr(example)] = example

    collect()
    assert len(found) >= number
    return list(found.values())[:number]


def in_batches(examples):
    return (examples[at : at + AT_ONCE] for at in range(0, len(examples), AT_ONCE))


@pytest.fixture(scope="module")
def answers_to(served):
    """Sends messages at the same time; an answer is the server's own, or the error it ended in."""
    with grpc.insecure_channel(served.endpoint) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        def answers_to(messages):
            calls = [stub.ModelInfer.future(message, timeout=ANSWER_S) for message in messages]
            return [call.exception() or call.result() for call in calls]

        yield answers_to


@pytest.fixture(scope="module")
def good_edits(known):
    return [
        Edit(encode_png(one.source), encode_png(one.edited), one.instruction.encode())
        for one in known.edits
    ]


@pytest.fixture
def assert_nobody_noticed(served, answers_to, known, good_edits):
    def check():
        assert served.is_well()
        (answer,) = answers_to([message_of(tensors_of(good_edits))])
        judgements = judgements_of(InferResult(answer), len(good_edits), "afterwards")
        assert [known.number_of(one) for one in judgements] == [0, 1, 2, 3]
        # An unforeseen exception would be logged with its traceback.
        assert [line for line in served.log_lines() if "error" in line] == []

    return check


def test_a_broken_request_is_refused_as_invalid(served, answers_to, assert_nobody_noticed):
    sent = 0
    for messages in in_batches(distinct(broken_requests.REQUESTS, 2_000)):
        for message, answer in zip(messages, answers_to(messages), strict=True):
            assert isinstance(answer, grpc.RpcError), message
            assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT, message
            assert answer.details(), message
            sent += 1
        assert served.is_well(), messages
    logger.info("broken requests: %d", sent)
    assert sent >= 2_000
    assert_nobody_noticed()


def test_a_hostile_edit_fails_or_is_judged_and_changes_no_other_judgement(
    served, answers_to, known, good_edits, assert_nobody_noticed
):
    sent = Counter()
    hostile = st.lists(hostile_edits.EDITS, min_size=1, max_size=2)
    among = st.lists(st.sampled_from(range(4)), max_size=1)
    for batch in in_batches(distinct(st.tuples(hostile, among), 600)):
        requests = [[*edits, *(good_edits[at] for at in numbers)] for edits, numbers in batch]
        answers = answers_to([message_of(tensors_of(request)) for request in requests])
        for (edits, numbers), answer in zip(batch, answers, strict=True):
            assert not isinstance(answer, grpc.RpcError), (edits, answer)
            got = judgements_of(InferResult(answer), len(edits) + len(numbers), "hostile edits")
            assert [known.number_of(one) for one in got[len(edits) :]] == numbers
            sent.update(one.status for one in got[: len(edits)])
            sent.update({"request": 1, "good edit": len(numbers)})
        assert served.is_well(), batch
    logger.info("requests with hostile edits: %s", dict(sent))
    assert sent["request"] >= 600
    assert sent["good edit"] > 200
    assert sent[JudgementStatus.FAILED] > 600
    assert_nobody_noticed()
