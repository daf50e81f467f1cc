"""What waits takes no more memory than allowed, is answered once, and leaves nothing behind."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from PIL import Image

from spatialreward.images import encode_png
from spatialreward.records import Judgement, JudgementStatus, JudgingOptions, Scores
from spatialreward.serving.config import ServingConfig
from spatialreward.serving.faults import (
    InvalidRequest,
    OutOfMemory,
    RequestCancelled,
    RequestFault,
    ServerBusy,
    ServerFailed,
)
from spatialreward.serving.requests import EncodedEdit
from spatialreward.serving.scheduler import Scheduler
from spatialreward.serving.waiting import Request
from tests.serving.scheduling import Awaited

WAIT_S = 60
SIDE = 500
SCORES = Scores(editing_success=1, over_editing=1)


def large(number):
    """A file of few bytes that becomes a megabyte of pixels; each number is another picture."""
    picture = Image.new("1", (SIDE, SIDE))
    picture.putpixel((number % SIDE, number // SIDE), 1)
    return encode_png(picture)


FILES = [large(number) for number in range(90)]
DECODED = 4 * SIDE * SIDE
FILE = max(map(len, FILES))


def judged(edit):
    words = edit.instruction
    return Judgement(status=JudgementStatus.OK, scores=SCORES, reward=0.5, sc_reasoning=words)


def at_once(take, measure):
    for number, edit in enumerate(take(64)):
        yield number, judged(edit)


class Held:
    """A judge that waits to be let go."""

    def __init__(self):
        self.go, self.started = threading.Event(), threading.Event()
        self.batches = []

    def __call__(self, take, measure):
        edits = take(64)
        self.batches.append([edit.instruction for edit in edits])
        self.started.set()
        assert self.go.wait(WAIT_S)
        return enumerate(map(judged, edits))


class Asked(Awaited):
    """A request of one edit with three pictures."""

    wait_s = WAIT_S

    def __init__(self, number, **more):
        first, second, edited = FILES[3 * number : 3 * number + 3]
        edit = EncodedEdit((first, second), edited, str(number).encode(), JudgingOptions())
        super().__init__([edit], **more)

    def change(self, **parts):
        self.request.edits = [edit._replace(**parts) for edit in self.request.edits]
        return self


@contextmanager
def running(judge, requests=2.5, **config):
    """A scheduler with room for ``requests`` of these; yields it and its reserved bytes."""
    sizes = []

    def measure(name, amount):
        if name == "waiting_bytes":
            sizes.append(amount)

    most = int(requests * 3 * (DECODED + FILE))
    config = ServingConfig(batch_delay_s=0, max_waiting_bytes=most, **config)
    scheduler = Scheduler(judge, config, measure)
    try:
        yield scheduler, sizes
    finally:
        scheduler.close()
    assert scheduler.num_bytes == 0
    assert max(sizes, default=0) <= most


def test_many_large_requests_at_the_same_time_never_take_more_than_the_budget():
    refused = []

    def ask_until_judged(number):
        while True:
            one = Asked(number)
            try:
                scheduler.submit(one.request)
                outcome = one.wait()
            except ServerBusy as fault:
                outcome = fault
            if not isinstance(outcome, RequestFault):
                return outcome[0].sc_reasoning
            assert isinstance(outcome, OutOfMemory)
            refused.append(outcome)
            time.sleep(0.01)

    with running(at_once, workers=2) as (scheduler, sizes), ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(ask_until_judged, range(30)))
    assert answers == [str(number) for number in range(30)]
    assert refused
    assert max(sizes) > 3 * DECODED
    assert sizes[-1] == 0


def test_what_does_not_fit_beside_the_others_is_refused_before_it_is_decoded(monkeypatch):
    judge = Held()
    with running(judge, requests=1.5) as (scheduler, _):
        first, second = Asked(0), Asked(1)
        scheduler.submit(first.request)
        assert judge.started.wait(WAIT_S)
        monkeypatch.setattr("spatialreward.serving.scheduler.decode_edit", None)
        scheduler.submit(second.request)
        fault = second.wait()
        monkeypatch.undo()
        assert isinstance(fault, OutOfMemory)
        assert str(fault).startswith(f"pictures of {3 * DECODED:,} bytes are waiting, ")
        assert "retry after " in str(fault)
        judge.go.set()
        first.wait()
        again = Asked(1)
        scheduler.submit(again.request)
        assert again.wait()[0].sc_reasoning == "1"


def test_files_that_wait_to_be_decoded_count_too():
    with running(Held(), requests=1.5) as (scheduler, _):
        one = Asked(0).change(edited=bytes(5 * DECODED))
        with pytest.raises(InvalidRequest, match=r"take 5,000,\d+ bytes, as files and decoded"):
            scheduler.submit(one.request)
        first, second = (Asked(0).change(edited=bytes(3 * DECODED)) for _ in range(2))
        scheduler._decoders.submit(time.sleep, 0.5)
        scheduler._decoders.submit(time.sleep, 0.5)
        scheduler.submit(first.request)
        with pytest.raises(OutOfMemory, match=r"pictures of 3,000,\d+ bytes are waiting"):
            scheduler.submit(second.request)


def test_a_request_that_alone_is_too_large_is_invalid_and_says_how_large_it_is():
    with running(at_once, requests=0.9) as (scheduler, _):
        one = Asked(0)
        scheduler.submit(one.request)
        fault = one.wait()
    assert isinstance(fault, InvalidRequest)
    assert f"{3 * DECODED + sum(map(len, FILES[:3])) + 1:,} bytes" in str(fault)


def test_a_picture_that_several_edits_show_counts_once():
    with running(at_once, requests=1.1) as (scheduler, sizes):
        one = Asked(0)
        one.request = Request([*one.request.edits] * 16, one._take)
        scheduler.submit(one.request)
        assert len(one.wait()) == 16
    assert 3 * DECODED <= max(sizes) < 4 * DECODED


def breaks(take, measure):
    take(64)
    raise RuntimeError("out of memory")


def leaves_all(take, measure):
    return iter(())


def raises(outcome):
    raise RuntimeError("the client's connection is broken")


@pytest.mark.parametrize(
    ("judge", "change", "options", "outcome"),
    [
        (at_once, {"edited": b"no picture"}, {}, "edited picture: is not a picture"),
        (at_once, {"edited": FILES[0][:60]}, {}, "edited picture: is damaged"),
        (at_once, {"instruction": b""}, {}, "instruction: is empty"),
        (breaks, {}, {}, "the judge failed on this edit"),
        (leaves_all, {}, {}, "the judge failed on this edit"),
        (at_once, {}, {"is_cancelled": lambda: True}, RequestCancelled),
        (at_once, {}, {"arrived": time.monotonic() - 3_600}, ServerBusy),
    ],
)
def test_however_a_request_ends_it_is_answered_once_and_leaves_nothing(
    judge, change, options, outcome
):
    with running(judge) as (scheduler, sizes):
        for _ in range(5):
            one = Asked(0, **options).change(**change)
            scheduler.submit(one.request)
            answer = one.wait()
            if isinstance(outcome, str):
                assert outcome in answer[0].reason
            else:
                assert isinstance(answer, outcome)
        assert scheduler.num_queued == 0
    assert sizes[-1] == 0


def test_a_client_that_goes_away_while_it_waits_leaves_nothing():
    judge, gone = Held(), threading.Event()
    with running(judge, requests=3) as (scheduler, _):
        first, second = Asked(0), Asked(1, is_cancelled=gone.is_set)
        scheduler.submit(first.request)
        assert judge.started.wait(WAIT_S)
        scheduler.submit(second.request)
        scheduler._decoders.shutdown()
        assert scheduler.num_bytes == 6 * DECODED
        gone.set()
        judge.go.set()
        assert isinstance(second.wait(), RequestCancelled)


def test_a_request_that_cannot_be_decoded_at_all_is_answered(monkeypatch):
    def out_of_memory(edits, limits):
        raise MemoryError

    monkeypatch.setattr("spatialreward.serving.scheduler.decoded_bytes", out_of_memory)
    with running(at_once) as (scheduler, _):
        one = Asked(0)
        scheduler.submit(one.request)
        assert isinstance(one.wait(), ServerFailed)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_client_that_cannot_be_answered_is_no_failure_of_the_judge(caplog, is_cancelled):
    judge = Held()
    with running(judge, requests=4, decoding_threads=1) as (scheduler, _):
        first, broken, last = Asked(0), Asked(1, is_cancelled=lambda: is_cancelled), Asked(2)
        broken.request.answer = raises
        scheduler.submit(first.request)
        assert judge.started.wait(WAIT_S)
        scheduler.submit(broken.request)
        scheduler.submit(last.request)
        scheduler._decoders.shutdown()
        judge.go.set()
        assert [one.wait()[0].sc_reasoning for one in (first, last)] == ["0", "2"]
        assert judge.batches == [["0"], ["2"] if is_cancelled else ["1", "2"]]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["a request could not be answered"]


def test_a_client_that_cannot_be_answered_does_not_end_the_worker(caplog):
    with running(at_once, requests=9, workers=1) as (scheduler, _reported):
        for _ in range(2):
            broken = Asked(0)
            broken.request.answer = raises
            scheduler.submit(broken.request)
        one = Asked(1)
        scheduler.submit(one.request)
        assert one.wait()[0].sc_reasoning == "1"
        assert all(worker.is_alive() for worker in scheduler._workers)


def test_the_hint_follows_what_was_measured_and_what_waits():
    now = [0.0]
    begun, go = threading.Semaphore(0), threading.Semaphore(0)

    def one_second_a_batch(take, measure):
        edits = take(8)
        begun.release()
        assert go.acquire(timeout=WAIT_S)
        now[0] += 1.0
        return enumerate(map(judged, edits))

    def asked(count):
        one = Asked(0)
        one.request = Request([*one.request.edits] * count, one._take)
        scheduler.submit(one.request)
        return one

    config = ServingConfig(batch_delay_s=0, max_batch_edits=8, max_queued_edits=48)
    scheduler = Scheduler(one_second_a_batch, config, clock=lambda: now[0])
    for _ in range(60):
        one = asked(8)
        go.release()
        one.wait()
    waiting = [asked(8) for _ in range(6)]
    # Eight edits a second: 48 take six seconds, half of them three.
    with pytest.raises(ServerBusy, match=r"48 edits are waiting, 48 may: retry after 3\.0 s"):
        asked(1)
    for _ in range(6):
        go.release()
    for one in waiting:
        one.wait()
    scheduler.close()
