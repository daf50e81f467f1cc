"""Serves a judge's checkpoint: requests in, tensors or a fault out, with metrics."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

import numpy as np

from spatialreward.json_logs import JsonLines
from spatialreward.judges.engines.engine import Take
from spatialreward.judges.interface import Measure
from spatialreward.judges.modes import load_local
from spatialreward.records import JudgeIdentity, Judgement, JudgementStatus
from spatialreward.serving.config import ServingConfig
from spatialreward.serving.faults import (
    InvalidRequest,
    OutOfMemory,
    RequestCancelled,
    RequestFault,
    ServerFailed,
)
from spatialreward.serving.memory import Trimmer
from spatialreward.serving.metrics import Gathering
from spatialreward.serving.replies import hand_over
from spatialreward.serving.requests import read_request, write_response
from spatialreward.serving.scheduler import Scheduler
from spatialreward.serving.threads import Threads
from spatialreward.serving.waiting import JudgeEach, Outcome, Request

logger = logging.getLogger(__name__)

Answer = Callable[[list[np.ndarray] | RequestFault], None]
"""Callback: (response tensors in the order of ``RESPONSE_TENSORS``, or the fault)."""

_WATCH_S = 0.2


class JudgeServer:
    """One version of one model."""

    def __init__(
        self,
        judge: JudgeEach,
        config: ServingConfig,
        *,
        identity: JudgeIdentity,
        measure: Measure,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Start to serve.

        Args:
            judge: judges the edits it takes, from several threads.
            config: limits and sizes.
            identity: the judge, with its served name and version.
            measure: receives metrics by the names in ``metrics.SERIES``, with each answer and at
                intervals, from one thread at a time.
            stop: called once if this server becomes unable to judge, to redirect requests to other
                servers.
        """
        self._stop = stop
        self._config = config
        self._identity = identity
        self._metrics = Gathering(measure)
        self._scheduler = Scheduler(judge, config, self._metrics.measure)
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watching.start()

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        parameters: Mapping[str, str],
        *,
        model: str,
        version: str,
        measure: Measure,
        stop: Callable[[], None],
    ) -> Self:
        """Load a checkpoint and serve it.

        Args:
            checkpoint: the judge's folder.
            parameters: of the model's configuration.
            model: its served name.
            version: of the model.
            measure: as for ``JudgeServer``.
            stop: as for ``JudgeServer``.

        Raises:
            InvalidInputError: the checkpoint cannot judge, or a parameter does not fit.
        """
        import torch

        config = ServingConfig.of_parameters(parameters)
        on_gpu = config.engine == "vllm" or torch.cuda.is_available()
        workers = config.workers_for(_num_cores(), on_gpu=on_gpu)
        config = config.model_copy(update={"workers": workers})
        # By default torch uses all cores, or OMP_NUM_THREADS if lower.
        threads = Threads(torch.get_num_threads(), workers, torch.set_num_threads)
        judge = load_local(
            checkpoint,
            mode=config.mode,
            engine=config.engine,
            guided=config.guided,
            batch_size=config.max_batch_edits,
            join_below=config.join_below,
            name=model,
            version=version,
        )
        # Prepare before the first request.
        judge.prepare()
        trimmer = Trimmer(config.trim_memory_s)

        def judge_each(take: Take, measure: Measure) -> Iterable[tuple[int, Judgement]]:
            if config.threads_per_worker is None:
                threads.divide()
            else:
                torch.set_num_threads(config.threads_per_worker)
            for judged in judge.judge_each(take, measure):
                yield judged
                trimmer.trim_when_due()

        return cls(judge_each, config, identity=judge.identity, measure=measure, stop=stop)

    @property
    def is_ready(self) -> bool:
        """Whether accepted requests will be judged."""
        return self._scheduler.is_working

    def submit(
        self,
        tensors: Mapping[str, np.ndarray],
        answer: Answer,
        *,
        request_id: str = "",
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Submit a request; ``answer`` is called once, from this thread or another."""
        start = time.monotonic()

        def reply(outcome: Outcome) -> None:
            response = self._write(outcome)
            result = response if isinstance(response, RequestFault) else outcome
            self._record(result, request_id, time.monotonic() - start)
            self._flush()
            answer(response)

        try:
            edits = read_request(tensors, self._config)
            self._scheduler.submit(Request(edits, reply, is_cancelled))
        except RequestFault as fault:
            hand_over(reply, fault)

    def close(self) -> None:
        """Answer the accepted requests, then stop."""
        self._scheduler.close()
        self._over.set()
        self._watching.join()
        self._flush()

    def _write(self, outcome: Outcome) -> list[np.ndarray] | RequestFault:
        if isinstance(outcome, RequestFault):
            return outcome
        try:
            by = {"judged_by": str(self._identity)}
            judgements = [one.model_copy(update=by) for one in outcome]
            return write_response(judgements, self._identity.name, self._identity.version)
        except Exception:
            logger.exception("an answer could not be written")
            return ServerFailed("the server could not write its answer")

    def _watch(self) -> None:
        """Forward metrics while a batch is judged, and notice a worker that has ended."""
        is_abandoned = False
        while not self._over.wait(_WATCH_S):
            self._flush()
            if not is_abandoned and not self.is_ready:
                is_abandoned = True
                self._abandon()

    def _abandon(self) -> None:
        logger.critical("a worker has ended: requests are refused, and the server is not ready")
        self._scheduler.abandon()
        try:
            self._stop()
        except Exception:
            logger.exception("could not take the server out of service")

    def _flush(self) -> None:
        try:
            self._metrics.flush()
        except Exception:
            logger.exception("could not forward metrics")

    def _record(self, outcome: Outcome, request_id: str, seconds: float) -> None:
        """Log and count a request's outcome."""
        fields = {
            "request_id": request_id,
            "model": self._identity.name,
            "version": self._identity.version,
            "seconds": round(seconds, 4),
        }
        self._metrics.measure("queued_edits", self._scheduler.num_queued)
        self._metrics.measure("requests", 1)
        self._metrics.measure("request_seconds", seconds)
        if isinstance(outcome, RequestFault):
            reason = _reason(outcome)
            self._metrics.measure(f"refused/{reason}", 1)
            fields |= {"reason": reason, "message": str(outcome)}
            logger.warning("refused", extra={"fields": fields})
            return
        num_ok = sum(one.status is JudgementStatus.OK for one in outcome)
        self._metrics.measure("edits/ok", num_ok)
        self._metrics.measure("edits/failed", len(outcome) - num_ok)
        for one in outcome:
            if one.failure:
                self._metrics.measure(f"failed/{one.failure}", 1)
        counts = {"edits": len(outcome), "failed": len(outcome) - num_ok}
        logger.info("judged", extra={"fields": fields | counts})


def configure_logging() -> None:
    """Log to standard error, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)


def _reason(fault: RequestFault) -> str:
    match fault:
        case InvalidRequest():
            return "invalid"
        case RequestCancelled():
            return "cancelled"
        case OutOfMemory():
            return "memory"
        case ServerFailed():
            return "failed"
        case _:
            return "busy"


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
