"""Batches edits across requests: decodes during judging, and orders by priority, then arrival.

Each request is answered once, after the last of its edits. A request that cannot be judged (queue
full, waited too long, client disconnected) gets a fault before any work.
"""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.judges.interface import Measure, ignore
from spatialreward.records import Judgement
from spatialreward.serving.config import ServingConfig
from spatialreward.serving.faults import (
    ENGINE_FAILED,
    STOPPING,
    InvalidRequest,
    OutOfMemory,
    RequestCancelled,
    RequestFault,
    ServerBusy,
    ServerFailed,
)
from spatialreward.serving.metrics import harmless
from spatialreward.serving.replies import Replies
from spatialreward.serving.requests import decode_edit, decoded_bytes, held_bytes
from spatialreward.serving.throughput import Throughput
from spatialreward.serving.waiting import JudgeEach, Outcome, Request, Waiting

logger = logging.getLogger(__name__)

_LONGEST_DELAY = 3  # in batch delays


class Scheduler:
    """Accepts requests from any thread, and answers them from a thread that does not judge."""

    def __init__(
        self,
        judge: JudgeEach,
        config: ServingConfig,
        measure: Measure = ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the threads.

        Args:
            judge: judges the edits it takes; called by ``config.workers`` threads in parallel, by
                one if that is None.
            config: limits and sizes.
            measure: receives metrics by name, such as ``seconds/decode``.
            clock: the time in seconds, for measuring the throughput.
        """
        self._judge = judge
        self._config = config
        self._measure = harmless(measure)
        self._arrivals = itertools.count()
        self._changed = threading.Condition()
        self._waiting: list[Waiting] = []
        self._unanswered: set[Request] = set()
        self._num_queued = 0
        self._idle: set[int] = set()
        self._closing = False
        self._abandoned = False
        self._throughput = Throughput(clock)
        self._num_bytes = 0
        self._replies = Replies()
        self._decoders = ThreadPoolExecutor(config.decoding_threads, "decode")
        self._workers = [
            threading.Thread(target=self._work, args=(number,), name=f"judge-{number}", daemon=True)
            for number in range(config.workers or 1)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def num_queued(self) -> int:
        """Edits that have arrived and are not judged yet."""
        return self._num_queued

    @property
    def num_bytes(self) -> int:
        """Memory reserved for the pictures of all unanswered requests."""
        return self._num_bytes

    @property
    def is_working(self) -> bool:
        """Whether every edit will be judged: a worker that dies loses its edits."""
        return self._closing or all(worker.is_alive() for worker in self._workers)

    def submit(self, request: Request) -> None:
        """Queue a request; returns at once.

        Raises:
            InvalidRequest: it has more edits, or more bytes, than the queue's limit.
            ServerBusy: the queue is full, or the server is stopping.
        """
        if len(request.edits) > self._config.max_queued_edits:
            raise InvalidRequest(
                f"the request has {len(request.edits)} edits, more than the "
                f"{self._config.max_queued_edits} that may wait"
            )
        with self._changed:
            if self._closing or self._abandoned:
                raise ServerBusy(STOPPING)
            queued = self._num_queued + len(request.edits)
            if queued > self._config.max_queued_edits:
                raise ServerBusy(
                    f"{self._num_queued} edits are waiting, {self._config.max_queued_edits} may: "
                    f"retry after {self._wait_s():.1f} s"
                )
            self._reserve(request, sum(edit.num_bytes for edit in request.edits))
            if not self._num_queued:
                self._throughput.resume()
            self._num_queued = queued
            self._unanswered.add(request)
            self._measure("queued_edits", queued)
            self._decoders.submit(self._decode, request)

    def abandon(self) -> None:
        """Refuse all unanswered and later requests, so that clients use other servers."""
        with self._changed:
            self._abandoned = True
            for request in [*self._unanswered]:
                self._refuse(request, ServerBusy(STOPPING))

    def close(self) -> None:
        """Judge the accepted requests, then stop."""
        with self._changed:
            self._closing = True
        self._decoders.shutdown(wait=True)
        with self._changed:
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()
        self._replies.close()

    def _wait_s(self) -> float:
        """Time in which the queue halves."""
        return max(0.1, self._throughput.seconds_for(self._num_queued) / 2)

    def _reserve(self, request: Request, num_bytes: int) -> None:
        """Change a request's reservation; the caller holds the condition.

        Raises:
            InvalidRequest: it exceeds the total limit.
            OutOfMemory: it exceeds what the others leave.
        """
        most = self._config.max_waiting_bytes
        if num_bytes > most:
            raise InvalidRequest(
                f"the request's pictures take {num_bytes:,} bytes, as files and decoded, more than "
                f"the {most:,} that may wait"
            )
        others = self._num_bytes - request.num_bytes
        if others + num_bytes > most:
            raise OutOfMemory(
                f"pictures of {others:,} bytes are waiting, {most:,} may, the request's take "
                f"{num_bytes:,}: retry after {self._wait_s():.1f} s"
            )
        self._num_bytes, request.num_bytes = others + num_bytes, num_bytes
        self._measure("waiting_bytes", self._num_bytes)

    def _decode(self, request: Request) -> None:
        try:
            self._make_room(request)
            self._queue(request, self._decoded(request))
        except RequestFault as fault:
            self._give_up(request, fault)
        except Exception:
            logger.exception("a request could not be decoded")
            self._give_up(request, ServerFailed("the server could not decode the request"))

    def _make_room(self, request: Request) -> None:
        """Reserve memory for the decoded pictures, before decoding them.

        Raises:
            RequestFault: there is too little memory, or the request is too late.
        """
        if fault := self._why_too_late(request):
            raise fault
        num_bytes = decoded_bytes(request.edits, self._config)
        with self._changed:
            if request.remaining:
                self._reserve(request, request.num_bytes + num_bytes)

    def _decoded(self, request: Request) -> list[Waiting]:
        """The usable edits; marks the others as failed."""
        start = time.monotonic()
        ready: list[Waiting] = []
        pictures: dict[bytes, Image.Image] = {}
        for number, encoded in enumerate(request.edits):
            try:
                edit = decode_edit(encoded, self._config, pictures)
            except InvalidInputError as error:
                self._finish(request, number, Judgement.failed(str(error), Failure.BAD_INPUT))
                continue
            except Exception:
                logger.exception("an edit could not be decoded")
                self._finish(request, number, _broken("the server could not decode this edit"))
                continue
            rank = (-edit.options.priority, next(self._arrivals))
            ready.append(Waiting(rank, request, number, edit))
        self._measure("seconds/decode", time.monotonic() - start)
        return ready

    def _queue(self, request: Request, ready: Sequence[Waiting]) -> None:
        request.edits = ()
        with self._changed:
            if not request.remaining:
                return
            self._reserve(request, held_bytes([one.edit for one in ready]))
            for waiting in ready:
                heapq.heappush(self._waiting, waiting)
            request.num_waiting = len(ready)
            self._changed.notify_all()

    def _work(self, worker: int) -> None:
        while True:
            try:
                while batch := self._next_batch(worker):
                    self._judge_batch(batch)
                return
            except BaseException:
                # Catch even SystemExit: a server without workers would still look healthy.
                logger.exception("a worker failed, and continues")

    def _next_batch(self, worker: int) -> list[Waiting]:
        """Wait for edits and take a fair share of them; empty when the server stops."""
        with self._changed:
            self._idle.add(worker)
            try:
                while True:
                    while not self._is_needed(worker):
                        if self._closing and not self._num_queued:
                            return []
                        self._changed.wait()
                    self._gather()
                    share = -(-len(self._waiting) // len(self._idle))
                    most = max(share, self._config.min_batch_edits)
                    if batch := self._take(min(most, self._config.max_batch_edits)):
                        return batch
            finally:
                self._idle.remove(worker)
                # Workers that left edits to this one must check the remainder again.
                self._changed.notify_all()

    def _is_needed(self, worker: int) -> bool:
        """Whether more edits wait than the idle workers before this one take."""
        num_before = sum(other < worker for other in self._idle)
        each = min(self._config.min_batch_edits, self._config.max_batch_edits)
        return len(self._waiting) > num_before * each

    def _gather(self) -> None:
        """Wait for further edits while they keep arriving, unless the batch is full."""
        alone = len(self._idle) == len(self._workers)
        delay = self._config.batch_delay_s if alone else self._config.busy_batch_delay_s
        quiet_since = started = time.monotonic()
        seen = len(self._waiting)
        while len(self._waiting) < self._config.max_batch_edits and not self._closing:
            now = time.monotonic()
            if len(self._waiting) != seen:
                quiet_since, seen = now, len(self._waiting)
            left = min(quiet_since + delay, started + _LONGEST_DELAY * delay) - now
            if left <= 0:
                return
            self._changed.wait(left)

    def _take(self, room: int, joined: int = 0) -> list[Waiting]:
        """The first waiting edits, at most ``room``; the caller holds the condition.

        If they exceed one batch, batches have equal sizes: with full batches and a remainder, the
        edits in the remainder would wait longer than all others. A request stays together if it
        fits: its edits share most of their prompts.

        Args:
            room: free places in the batch.
            joined: edits already in the batch.
        """
        if not self._waiting:
            return []
        taken: list[Waiting] = []
        total = len(self._waiting) + joined
        num_batches = -(-total // (room + joined))
        enough = -(-total // num_batches) - joined
        while self._waiting and len(taken) < enough:
            request = self._waiting[0].request
            if len(taken) + (request.num_waiting if taken else 1) > room:
                break
            if fault := self._why_too_late(request):
                self._refuse(request, fault)
                continue
            while len(taken) < room and self._waiting and self._waiting[0].request is request:
                taken.append(heapq.heappop(self._waiting))
                request.num_waiting -= 1
        now = time.monotonic()
        for request in {id(one.request): one.request for one in taken}.values():
            self._measure("seconds/queued", now - request.arrived)
        return taken

    def _why_too_late(self, request: Request) -> RequestFault | None:
        if request.has_gone():
            return RequestCancelled("the request was cancelled")
        waited = time.monotonic() - request.arrived
        if waited > self._config.time_limit_s:
            return ServerBusy(
                f"the request has waited for {waited:.1f} s, longer than the "
                f"{self._config.time_limit_s:g} s allowed; retry after {self._wait_s():.1f} s"
            )
        return None

    def _refuse(self, request: Request, fault: RequestFault) -> None:
        """Answer with a fault and drop the request's edits; the caller holds the condition."""
        self._waiting = [one for one in self._waiting if one.request is not request]
        heapq.heapify(self._waiting)
        self._num_queued -= request.remaining
        request.remaining = request.num_waiting = 0
        self._answer(request, fault)
        self._changed.notify_all()

    def _give_up(self, request: Request, fault: RequestFault) -> None:
        """Refuse an unanswered request."""
        with self._changed:
            if request.remaining:
                self._refuse(request, fault)

    def _answer(self, request: Request, outcome: Outcome) -> None:
        """Complete a request; the caller holds the condition."""
        self._unanswered.discard(request)
        self._reserve(request, 0)
        self._replies.give(request.answer, outcome)

    def _judge_batch(self, batch: list[Waiting], *, alone: bool = False) -> None:
        """Judge a batch, which is emptied, and the edits that join it.

        After an error the remaining edits are judged one by one, so only the culprit fails.
        """
        num_taken = 0
        open_ones: dict[int, Waiting] = {}

        def take(room: int) -> list[Edit]:
            nonlocal num_taken
            if not num_taken:
                joining = batch.copy()
                batch.clear()
            elif alone or room >= self._config.max_batch_edits:
                # The batch is finished: divide the waiting edits among workers again.
                joining = []
            else:
                with self._changed:
                    joining = self._take(room, max(0, self._config.max_batch_edits - room))
            # Under load a batch never ends, so drop each judged edit.
            open_ones.update(enumerate(joining, num_taken))
            num_taken += len(joining)
            self._measure("batch_edits", len(joining))
            return [one.edit for one in joining]

        self._measure("batches", 1)
        try:
            for number, judgement in self._judge(take, self._measure):
                one = open_ones.pop(number)
                self._finish(one.request, one.number, judgement, is_judged=True)
        except BaseException:
            logger.exception(
                "a batch failed; judging the remaining %d edits one by one", len(open_ones)
            )
        for one in (*open_ones.values(), *batch):
            if alone:
                self._finish(one.request, one.number, _broken(ENGINE_FAILED))
            else:
                self._judge_batch([one], alone=True)

    def _finish(
        self, request: Request, number: int, judgement: Judgement, *, is_judged: bool = False
    ) -> None:
        with self._changed:
            if is_judged:
                self._throughput.count()
            if not request.remaining:
                return
            request.judgements[number] = judgement
            request.remaining -= 1
            self._num_queued -= 1
            if not request.remaining:
                self._answer(request, [one for one in request.judgements if one is not None])
            if not self._num_queued:
                self._changed.notify_all()


def _broken(reason: str) -> Judgement:
    return Judgement.failed(reason, Failure.JUDGE_FAILED)
