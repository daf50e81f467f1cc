import time

import pytest

from spatialreward.client import (
    DeadlineExceeded,
    ServerBusy,
    ServerUnavailable,
    TritonJudge,
)


@pytest.fixture
def servers(start_server):
    return start_server(), start_server()


@pytest.fixture
def addresses(servers):
    return [server.address for server in servers]


@pytest.fixture
def judge(addresses):
    with TritonJudge(addresses, edits_per_request=1, aside_s=0.3, attempts=3) as judge:
        yield judge


def test_servers_share_the_requests(judge, servers, numbered_edits, numbers_of):
    assert numbers_of(judge.judge(numbered_edits(range(20)))) == list(range(20))
    assert [len(server.sizes) for server in servers] == [10, 10]


def test_addresses_may_stand_in_one_string(servers, addresses, numbered_edits):
    with TritonJudge(" , ".join(addresses), edits_per_request=1) as judge:
        judge.judge(numbered_edits(range(2)))
    assert [len(server.sizes) for server in servers] == [1, 1]


def test_a_request_goes_to_the_other_server_if_one_dies(judge, servers, numbered_edits, numbers_of):
    judge.judge(numbered_edits(range(4)))
    servers[0].stop()
    assert numbers_of(judge.judge(numbered_edits(range(20)))) == list(range(20))
    assert len(servers[1].sizes) == 22


def test_a_request_under_way_on_a_server_that_dies_is_judged_by_the_other(
    judge, servers, numbered_edits, numbers_of
):
    dying, living = servers
    dying.servicer.spoil = lambda tensors: dying.stop() or tensors
    assert numbers_of(judge.judge(numbered_edits(range(2)))) == [0, 1]
    assert len(living.sizes) == 2


def test_a_server_that_came_back_gets_requests_again(judge, servers, numbered_edits):
    away = servers[0]
    away.stop()
    judge.judge(numbered_edits(range(2)))
    away.start()
    before = len(away.sizes)
    end = time.monotonic() + 20
    while len(away.sizes) == before and time.monotonic() < end:
        judge.judge(numbered_edits(range(2)))
        time.sleep(0.05)
    assert len(away.sizes) > before


def test_a_server_that_is_not_ready_again_gets_none(judge, servers, numbered_edits):
    away = servers[0]
    away.refuse("UNAVAILABLE", "the model is loading")
    away.servicer.is_ready = False
    judge.judge(numbered_edits(range(2)))
    time.sleep(0.4)
    judge.judge(numbered_edits(range(6)))
    assert len(away.sizes) == 1
    away.servicer.is_ready = True
    time.sleep(0.4)
    judge.judge(numbered_edits(range(6)))
    assert len(away.sizes) > 1


def test_a_busy_server_costs_no_waiting_while_another_has_time(judge, servers, numbered_edits):
    servers[0].refuse("UNAVAILABLE", "the queue is full, retry after 30 s")
    start = time.monotonic()
    judge.judge(numbered_edits([0]))
    judge.judge(numbered_edits(range(6)))
    assert time.monotonic() - start < 15
    assert [len(server.sizes) for server in servers] == [1, 7]


def test_a_server_that_does_not_answer_in_time_is_not_asked_twice(
    servers, addresses, numbered_edits, numbers_of
):
    servers[0].servicer.may_answer.clear()
    with TritonJudge(addresses, timeout_s=1) as judge:
        assert numbers_of(judge.judge(numbered_edits([7]))) == [7]
        assert [len(server.sizes) for server in servers] == [1, 1]
        servers[1].servicer.may_answer.clear()
        with pytest.raises(DeadlineExceeded, match=r"no answer within 1 s.*no answer within 1 s"):
            judge.judge(numbered_edits([8]))
    assert [len(server.sizes) for server in servers] == [2, 2]


def test_all_servers_are_named_when_all_are_away(judge, servers, addresses, numbered_edits):
    servers[0].stop()
    servers[1].servicer.is_ready = False
    servers[1].refuse("UNAVAILABLE", "the model is loading", times=9)
    with pytest.raises(ServerUnavailable) as caught:
        judge.judge(numbered_edits([7]))
    assert all(address in str(caught.value) for address in addresses)
    assert "failed to connect" in str(caught.value).lower()
    assert "serves no model 'judge'" in str(caught.value)


def test_busy_and_away_together_count_as_busy(judge, servers, numbered_edits):
    servers[0].stop()
    servers[1].refuse("UNAVAILABLE", "the queue is full, retry after 0.05 s", times=9)
    with pytest.raises(ServerBusy, match=r"retry after 0\.05 s"):
        judge.judge(numbered_edits([7]))
