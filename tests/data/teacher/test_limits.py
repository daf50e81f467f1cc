import asyncio
import threading
import time

import pytest

from spatialreward.data.teacher.limits import Rate
from spatialreward.data.teacher.teaching import annotate_all
from tests.data.teacher import virtual_time
from tests.data.teacher.edits_to_annotate import edits
from tests.data.teacher.settings import changed
from tests.data.teacher.teacher_server import Reaction, fails, in_turn, well


def taken_at(per_minute: int, amounts: list[int]) -> list[float]:
    """Seconds at which each of many that wait at the same time gets its share."""

    async def all_of_them():
        loop = asyncio.get_running_loop()
        rate, start = Rate(per_minute), loop.time()

        async def one(amount):
            await rate.take(amount)
            return loop.time() - start

        return await asyncio.gather(*(one(amount) for amount in amounts))

    return virtual_time.run(all_of_them())


def most_in_a_minute(times: list[float], amounts: list[int]) -> int:
    return max(
        sum(amount for at, amount in zip(times, amounts, strict=True) if start <= at < start + 60)
        for start in times
    )


@pytest.mark.parametrize("per_minute", [1, 7, 60, 500])
def test_no_minute_has_more_requests_than_allowed(per_minute):
    amounts = [1] * (3 * per_minute)
    times = taken_at(per_minute, amounts)
    # One more may fall on the very edge, by rounding of seconds.
    assert most_in_a_minute(times, amounts) <= per_minute + 1
    assert max(times) >= 60


def test_most_of_what_is_allowed_is_used():
    times = taken_at(600, [1] * 3000)
    # 60 at once and 540 a minute: 3,000 take (3,000 - 60) / 540 minutes.
    assert max(times) == pytest.approx(60 * 2940 / 540, rel=0.01)


def test_a_request_larger_than_the_burst_waits_for_all_of_its_tokens():
    # 1,000 at once, 9,000 more a minute: 4,000 tokens take 3,000 / 9,000 of a minute.
    assert taken_at(10_000, [4000]) == [pytest.approx(20, abs=0.1)]


def test_no_limit_means_no_waiting():
    async def take():
        await Rate(None).take(10**9)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(take()) == pytest.approx(1000, abs=0.001)


def test_no_more_requests_are_under_way_than_allowed(server, config, ledger):
    reached = threading.Event()

    def plan(asked):
        if server.under_way >= config.concurrency:
            reached.set()
        return Reaction(well(asked).body, released_by=reached)

    server.plan = plan
    results = list(annotate_all(edits(20), config, ledger))
    assert len(results) == 20
    assert server.most_under_way == config.concurrency == 4


def test_a_rate_limit_is_kept_on_the_wire(server, config, ledger):
    # 600 a minute are 60 at once and 9 a second: the last 4 of 64 take 4/9 of a second.
    limited = changed(config, requests_per_minute=600)
    start = time.monotonic()
    assert len(list(annotate_all(edits(64), limited, ledger))) == 64
    assert time.monotonic() - start > 4 / 9 - 0.02


def test_retries_count_against_the_rate_limit(server, config, ledger):
    # 60 a minute are 6 at once and 9 in ten seconds: the seventh attempt waits for 10/9 s.
    server.plan = in_turn(*[fails(500)] * 6)
    limited = changed(config, requests_per_minute=60, max_attempts=7)
    start = time.monotonic()
    [result] = annotate_all(edits(1), limited, ledger)
    assert result.label is not None
    assert time.monotonic() - start > 10 / 9 - 0.02


def test_a_server_is_left_alone_for_as_long_as_it_asks(server, config, ledger):
    times = []
    reactions = in_turn(fails(429, Retry_After="1"))

    def plan(asked):
        times.append(time.monotonic())
        return reactions(asked)

    server.plan = plan
    [result] = annotate_all(edits(1), config, ledger)
    assert result.label is not None
    assert times[1] - times[0] >= 1.0


def test_a_wait_that_is_too_long_is_not_cut_short_but_given_up(server, config, ledger):
    server.plan = lambda asked: fails(429, Retry_After="121")
    results = list(annotate_all(edits(2), config, ledger))
    assert {one.reason for one in results} == {"teacher: rate limited"}
    assert len(server.asked) == 2
