import asyncio
import time

import pytest

from spatialreward.client import (
    AsyncTritonJudge,
    DeadlineExceeded,
    ModelNotServed,
    RequestRejected,
    ServerUnavailable,
    TritonJudge,
    WrongAnswer,
)


def test_both_clients_judge_alike(server, numbered_edits):
    edits = [*numbered_edits(range(40)), *numbered_edits([41], instruction="fail")]

    async def judge():
        async with AsyncTritonJudge(server.address, edits_per_request=7) as judge:
            return await judge.judge(edits)

    with TritonJudge(server.address) as judge_in_threads:
        assert asyncio.run(judge()) == judge_in_threads.judge(edits)


def test_it_may_be_made_before_its_loop(server, numbered_edits, numbers_of):
    judge = AsyncTritonJudge(server.address)

    async def use():
        async with judge:
            await judge.check()
            assert await judge.notice() == "knows nothing"
            return await judge.judge(numbered_edits([7]))

    assert numbers_of(asyncio.run(use())) == [7]


def test_calls_at_the_same_time_share_the_bound(server, numbered_edits, numbers_of):
    server.release_when(3)
    options = {"edits_per_request": 1, "requests_in_flight": 3}

    async def judge():
        async with AsyncTritonJudge(server.address, **options) as judge:
            return await asyncio.gather(*(judge.judge(numbered_edits(range(6))) for _ in range(4)))

    assert [numbers_of(one) for one in asyncio.run(judge())] == [[0, 1, 2, 3, 4, 5]] * 4
    assert server.servicer.most_under_way == 3


def test_a_request_goes_to_the_other_server_if_one_is_away(
    start_server, numbered_edits, numbers_of
):
    away, there = start_server(), start_server()
    away.stop()

    async def judge():
        addresses = [away.address, there.address]
        async with AsyncTritonJudge(addresses, edits_per_request=1) as judge:
            return await judge.judge(numbered_edits(range(8)))

    assert numbers_of(asyncio.run(judge())) == list(range(8))


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(server, numbered_edits):
    server.refuse("UNAVAILABLE", "the queue is full, retry after 0.6 s")

    async def judge():
        async with AsyncTritonJudge(server.address) as judge:
            start = time.monotonic()
            await judge.judge(numbered_edits([7]))
            return time.monotonic() - start

    assert asyncio.run(judge()) >= 0.6


@pytest.mark.parametrize(
    ("options", "misbehave", "expected"),
    [
        ({}, lambda server: server.refuse("INVALID_ARGUMENT"), RequestRejected),
        ({}, lambda server: setattr(server.servicer, "spoil", lambda _: {}), WrongAnswer),
        ({"model": "critic"}, lambda server: None, ModelNotServed),
        ({"attempts": 1}, lambda server: server.stop(), ServerUnavailable),
        ({"timeout_s": 0.1}, lambda server: server.servicer.may_answer.clear(), DeadlineExceeded),
    ],
)
def test_errors_are_those_of_the_other_client(server, numbered_edits, options, misbehave, expected):
    misbehave(server)

    async def judge():
        async with AsyncTritonJudge(server.address, **options) as judge:
            await judge.judge(numbered_edits([7]))

    with pytest.raises(expected, match=server.address):
        asyncio.run(judge())


def test_both_clients_tell_the_same_identity(server):
    async def identity():
        async with AsyncTritonJudge(server.address) as judge:
            return await judge.identity()

    with TritonJudge(server.address) as judge_in_threads:
        assert asyncio.run(identity()) == judge_in_threads.identity


def test_a_call_ends_at_its_deadline(server, numbered_edits):
    server.servicer.delay_s = 0.2

    async def judge():
        options = {"edits_per_request": 1, "requests_in_flight": 1}
        async with AsyncTritonJudge(server.address, **options) as judge:
            await judge.judge(numbered_edits(range(50)), deadline_s=0.3)

    with pytest.raises(DeadlineExceeded, match=r" 0\.3 s"):
        asyncio.run(judge())
    assert len(server.sizes) <= 3


def test_a_cancelled_call_cancels_its_requests(server, numbered_edits, numbers_of):
    server.servicer.may_answer.clear()

    async def judge():
        async with AsyncTritonJudge(server.address, edits_per_request=1) as judge:
            call = asyncio.create_task(judge.judge(numbered_edits(range(20))))
            while not server.sizes:
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert server.servicer.ended.wait(10), (
                "the server still works for a client that has left"
            )
            server.servicer.may_answer.set()
            return await judge.judge(numbered_edits([7]))

    assert numbers_of(asyncio.run(judge())) == [7]
    assert len(server.sizes) <= 5


def test_one_request_that_fails_ends_the_call(server, numbered_edits):
    server.refuse("INVALID_ARGUMENT")

    async def judge():
        options = {"edits_per_request": 1, "requests_in_flight": 1}
        async with AsyncTritonJudge(server.address, **options) as judge:
            with pytest.raises(RequestRejected):
                await judge.judge(numbered_edits(range(50)))
            await judge.judge(numbered_edits([7]))

    asyncio.run(judge())
    assert len(server.sizes) <= 3
