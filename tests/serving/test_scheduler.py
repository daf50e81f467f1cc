"""Batches across requests: every request is answered once, with its own judgements, in order."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from spatialreward.serving.config import ServingConfig
from spatialreward.serving.faults import InvalidRequest, RequestCancelled, ServerBusy
from spatialreward.serving.scheduler import Scheduler
from tests.serving.scheduling import ROOM, WAIT_S, Asked, Held, echo, repeated


def wait_until_idle(scheduler, number):
    """Until so many workers wait for edits: an answer is there a little before its worker is."""
    deadline = time.monotonic() + WAIT_S
    while len(scheduler._idle) < number:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_each_request_gets_its_own_judgements_in_order(running):
    scheduler = running(echo, workers=2, max_batch_edits=5)
    asked = [Asked(*(f"{n} {k}" for k in range(n % 7 + 1))) for n in range(40)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda one: scheduler.submit(one.request), asked))
    for number, one in enumerate(asked):
        assert one.words() == [f"{number} {k}" for k in range(number % 7 + 1)]
    assert scheduler.num_queued == 0


def test_requests_that_wait_are_judged_in_one_batch(running):
    judge = Held()
    scheduler = running(judge)
    first, *others = [Asked(f"edit {number}") for number in range(4)]
    scheduler.submit(first.request)
    assert judge.started.wait(WAIT_S)
    for one in others:
        scheduler.submit(one.request)
    scheduler._decoders.shutdown()
    judge.go.set()
    assert [one.words() for one in others] == [["edit 1"], ["edit 2"], ["edit 3"]]
    assert sorted(map(len, judge.batches)) == [1, 3]


def test_higher_priorities_go_first_and_equal_ones_by_arrival(running):
    judge = Held()
    scheduler = running(judge, max_batch_edits=1, min_batch_edits=1, decoding_threads=1)
    asked = [Asked("first"), Asked("low"), Asked("lower"), Asked("urgent", priority=5)]
    scheduler.submit(asked[0].request)
    assert judge.started.wait(WAIT_S)
    for one in asked[1:]:
        scheduler.submit(one.request)
    scheduler._decoders.shutdown()
    judge.go.set()
    for one in asked:
        one.wait()
    assert judge.batches == [["first"], ["urgent"], ["low"], ["lower"]]


def test_idle_workers_share_what_waits(running):
    judge = Held()
    scheduler = running(judge, workers=2, min_batch_edits=2)
    one = Asked(*"abcdefgh")
    scheduler.submit(one.request)
    scheduler._decoders.shutdown()
    judge.go.set()
    assert one.words() == list("abcdefgh")
    assert len(judge.batches) >= 2


def test_little_is_left_to_the_first_worker_that_is_idle(running):
    workers = []

    def judge(take, measure):
        workers.append(threading.current_thread().name)
        yield from echo(take, measure)

    scheduler = running(judge, workers=3, min_batch_edits=3)
    for _ in range(8):
        wait_until_idle(scheduler, 3)
        one = Asked(*"abc")
        scheduler.submit(one.request)
        assert one.words() == list("abc")
    assert set(workers) == {"judge-0"}


def test_another_worker_takes_what_the_first_has_no_time_for(running):
    judge = Held()
    scheduler = running(judge, workers=2, min_batch_edits=3)
    first, second = Asked(*"abc"), Asked(*"de")
    scheduler.submit(first.request)
    assert judge.started.wait(WAIT_S)
    judge.started.clear()
    scheduler.submit(second.request)
    assert judge.started.wait(WAIT_S)
    judge.go.set()
    assert (first.words(), second.words()) == (list("abc"), list("de"))
    assert judge.batches == [list("abc"), list("de")]


def test_a_batch_that_is_over_ends_whatever_waits(running):
    begun, arrived = threading.Event(), threading.Event()
    batches = []

    def insatiable(take, measure):
        batches.append([])
        taken = 0
        while edits := take(8):
            begun.set()
            assert arrived.wait(WAIT_S)
            batches[-1].append(len(edits))
            yield from ((number, repeated(edit)) for number, edit in enumerate(edits, taken))
            taken += len(edits)

    scheduler = running(insatiable, max_batch_edits=8)
    first, second = Asked("a"), Asked("b")
    scheduler.submit(first.request)
    assert begun.wait(WAIT_S)
    scheduler.submit(second.request)
    scheduler._decoders.shutdown()
    arrived.set()
    assert (first.words(), second.words()) == (["a"], ["b"])
    assert batches == [[1], [1]]


def test_more_than_a_batch_is_split_evenly_and_never_within_a_request(running):
    judge = Held()
    scheduler = running(judge, max_batch_edits=8)
    first, *others = [Asked(*(f"{number} {k}" for k in range(2))) for number in range(6)]
    scheduler.submit(first.request)
    assert judge.started.wait(WAIT_S)
    for one in others:
        scheduler.submit(one.request)
    scheduler._decoders.shutdown()
    judge.go.set()
    for number, one in enumerate(others, 1):
        assert one.words() == [f"{number} {k}" for k in range(2)]
    # Ten edits: five each, not eight and two, and a request that is begun is taken to its end.
    assert list(map(len, judge.batches)) == [2, 6, 4]


def test_those_that_wait_join_up_to_an_even_share(running):
    begun, arrived = threading.Event(), threading.Event()
    sizes = []

    def patient(take, measure):
        batch = list(take(8))
        begun.set()
        assert arrived.wait(WAIT_S)
        if not sizes:
            # Two of the first batch are still written when others join.
            joined = list(take(6))
            batch += joined
            sizes.append(len(joined))
        yield from ((number, repeated(one)) for number, one in enumerate(batch))

    scheduler = running(patient, max_batch_edits=8, decoding_threads=1)
    first = Asked("a", "b")
    scheduler.submit(first.request)
    assert begun.wait(WAIT_S)
    others = [Asked(f"edit {number}") for number in range(8)]
    for one in others:
        scheduler.submit(one.request)
    scheduler._decoders.shutdown()
    arrived.set()
    assert [one.words() for one in others] == [[f"edit {number}"] for number in range(8)]
    # Ten in all, two batches: five each, two of which are there already.
    assert sizes == [3]


def test_a_full_queue_turns_away_with_a_hint_and_keeps_what_it_has(running):
    judge = Held()
    scheduler = running(judge, max_queued_edits=2)
    kept, late = Asked("a", "b"), Asked("c")
    scheduler.submit(kept.request)
    with pytest.raises(ServerBusy, match=r"2 edits are waiting, 2 may: retry after \d+\.\d s"):
        scheduler.submit(late.request)
    judge.go.set()
    assert kept.words() == ["a", "b"]
    scheduler.submit(late.request)
    assert late.words() == ["c"]


def test_a_request_that_could_never_wait_is_not_reported_to_come_again(running):
    with pytest.raises(InvalidRequest, match="has 3 edits, more than the 2 that may wait"):
        running(echo, max_queued_edits=2).submit(Asked("a", "b", "c").request)


def test_whoever_has_gone_away_costs_no_judging(running):
    judge = Held()
    scheduler = running(judge)
    first = Asked("first")
    scheduler.submit(first.request)
    assert judge.started.wait(WAIT_S)
    gone = Asked("gone", "too", is_cancelled=lambda: True)
    scheduler.submit(gone.request)
    judge.go.set()
    assert isinstance(gone.wait(), RequestCancelled)
    assert first.words() == ["first"]
    assert judge.batches == [["first"]]
    assert scheduler.num_queued == 0


def test_a_request_that_has_waited_too_long_is_not_judged(running):
    judge = Held()
    scheduler = running(judge, time_limit_s=0.05)
    first = Asked("first")
    scheduler.submit(first.request)
    assert judge.started.wait(WAIT_S)
    late = Asked("late")
    late.request.arrived -= 60
    scheduler.submit(late.request)
    judge.go.set()
    assert isinstance(late.wait(), ServerBusy)
    assert "longer than the 0.05 s allowed" in str(late.wait())


def test_a_picture_that_cannot_be_decoded_fails_alone(running):
    scheduler = running(echo)
    one = Asked("good", "bad")
    one.request.edits[1] = one.request.edits[1]._replace(edited=b"no picture")
    scheduler.submit(one.request)
    good, bad = one.wait()
    assert good.sc_reasoning == "good"
    assert "edited picture" in bad.reason


def test_an_edit_on_which_the_judge_breaks_fails_alone(running):
    def breaks(take, measure):
        edits = take(ROOM)
        if any(edit.instruction == "poison" for edit in edits):
            raise RuntimeError("out of memory")
        return echo(lambda room: edits, measure)

    one = Asked("a", "poison", "b")
    running(breaks).submit(one.request)
    first, poison, last = one.wait()
    assert (first.sc_reasoning, last.sc_reasoning) == ("a", "b")
    assert poison.reason == "the judge failed on this edit"


def test_a_request_is_answered_as_soon_as_its_own_edits_are_judged(running):
    go = threading.Event()

    def slow_at_its_end(take, measure):
        *judged, last = echo(take, measure)
        yield from judged
        assert go.wait(WAIT_S)
        yield last

    scheduler = running(
        slow_at_its_end, max_batch_edits=3, decoding_threads=1, batch_delay_s=WAIT_S
    )
    first, last = Asked("a", "b"), Asked("c")
    scheduler.submit(first.request)
    scheduler.submit(last.request)
    assert first.words() == ["a", "b"]
    assert not last.answers
    go.set()
    assert last.words() == ["c"]


def test_edits_join_a_batch_that_is_under_way(running):
    begun, arrived = threading.Event(), threading.Event()

    def patient(take, measure):
        first = take(1)
        begun.set()
        assert arrived.wait(WAIT_S)
        joined = take(ROOM)
        yield 1, repeated(joined[0])
        yield 0, repeated(first[0])

    scheduler = running(patient, decoding_threads=1)
    first, second = Asked("first"), Asked("second")
    scheduler.submit(first.request)
    assert begun.wait(WAIT_S)
    scheduler.submit(second.request)
    scheduler._decoders.shutdown()
    arrived.set()
    assert (first.words(), second.words()) == (["first"], ["second"])


def test_closing_answers_what_was_accepted_and_takes_no_more():
    judge = Held()
    scheduler = Scheduler(judge, ServingConfig())
    one = Asked("a")
    scheduler.submit(one.request)
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    while not scheduler._closing:
        time.sleep(0.001)
    judge.go.set()
    closing.join(WAIT_S)
    assert one.words() == ["a"]
    with pytest.raises(ServerBusy, match="stopping"):
        scheduler.submit(Asked("b").request)


def test_what_happens_is_measured():
    amounts = Counter()
    scheduler = Scheduler(
        echo, ServingConfig(), lambda name, amount: amounts.update({name: amount})
    )
    one = Asked("a", "b")
    scheduler.submit(one.request)
    one.wait()
    scheduler.close()
    assert amounts["batch_edits"] == 2
    assert amounts["seconds/decode"] > 0
    assert amounts["seconds/queued"] > 0
