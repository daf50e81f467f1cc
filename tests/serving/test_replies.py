"""What goes wrong around the judging: replies, clients, metrics, a judge that ends its thread."""

import threading

import pytest

from spatialreward.serving.config import ServingConfig
from spatialreward.serving.faults import ServerBusy
from spatialreward.serving.scheduler import Scheduler
from tests.serving.scheduling import ROOM, WAIT_S, Asked, Held, echo


class Unanswerable(Asked):
    """A request whose reply fails, in a way that ends a thread that lets it."""

    def _take(self, outcome):
        super()._take(outcome)
        raise SystemExit("no client is there any more")


def test_a_reply_that_fails_has_no_edit_judged_again_and_ends_no_worker(running, caplog):
    judge = Held()
    judge.go.set()
    scheduler = running(judge)
    first, second = Unanswerable("a"), Asked("b")
    scheduler.submit(first.request)
    assert first.words() == ["a"]
    scheduler.submit(second.request)
    assert second.words() == ["b"]
    assert judge.batches == [["a"], ["b"]]
    assert "a request could not be answered" in caplog.text
    assert scheduler.is_working


def test_a_reply_that_takes_its_time_delays_no_judging(running):
    judge, go = Held(), threading.Event()
    judge.go.set()
    scheduler = running(judge)
    slow, other = Asked("slow"), Asked("other")
    found, slow.request.answer = (
        slow.request.answer,
        lambda outcome: found(outcome) or go.wait(WAIT_S),
    )
    scheduler.submit(slow.request)
    slow.wait()
    judge.started.clear()
    scheduler.submit(other.request)
    assert judge.started.wait(WAIT_S)
    go.set()
    assert other.words() == ["other"]


def test_a_client_that_cannot_be_asked_whether_it_is_there_is_answered(running, caplog):
    def is_cancelled():
        raise RuntimeError("the sender is gone")

    judge = Held()
    judge.go.set()
    one = Asked("a", is_cancelled=is_cancelled)
    scheduler = running(judge)
    scheduler.submit(one.request)
    assert one.words() == ["a"]
    assert judge.batches == [["a"]]
    assert "could not check whether a client has disconnected" in caplog.text


def test_an_amount_that_cannot_be_reported_stops_no_worker():
    def measure(name, amount):
        raise ValueError(name)

    scheduler = Scheduler(echo, ServingConfig(), measure)
    try:
        one = Asked("a", "b")
        scheduler.submit(one.request)
        assert one.words() == ["a", "b"]
        assert scheduler.is_working
    finally:
        scheduler.close()


def test_a_judge_that_would_end_its_worker_fails_its_edit_alone(running):
    def ends(take, measure):
        edits = take(ROOM)
        if any(edit.instruction == "poison" for edit in edits):
            raise SystemExit
        return echo(lambda room: edits, measure)

    scheduler = running(ends)
    one, other = Asked("poison"), Asked("a")
    scheduler.submit(one.request)
    assert one.wait()[0].reason == "the judge failed on this edit"
    scheduler.submit(other.request)
    assert other.words() == ["a"]


def test_an_abandoned_server_refuses_what_waits_and_what_comes(running):
    judge = Held()
    scheduler = running(judge)
    begun, waits = Asked("begun"), Asked("waits")
    scheduler.submit(begun.request)
    assert judge.started.wait(WAIT_S)
    scheduler.submit(waits.request)
    scheduler.abandon()
    assert isinstance(begun.wait(), ServerBusy)
    assert isinstance(waits.wait(), ServerBusy)
    with pytest.raises(ServerBusy, match=r"stopping; retry after 1\.0 s"):
        scheduler.submit(Asked("late").request)
    judge.go.set()
    assert (scheduler.num_queued, scheduler.num_bytes) == (0, 0)
