"""Names and meanings of a served judge's metrics, and a log line per request.

The server's own metrics (requests, failures, latency) complement these.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Literal, NamedTuple

from spatialreward.errors import Failure
from spatialreward.judges.interface import Measure
from spatialreward.records import Mending

logger = logging.getLogger(__name__)

PREFIX = "spatialreward_"


class Series(NamedTuple):
    """One time series: a metric with its labels."""

    metric: str
    labels: Mapping[str, str]


class Metric(NamedTuple):
    """One Prometheus metric."""

    kind: Literal["counter", "gauge"]
    help: str


METRICS: Mapping[str, Metric] = {
    "seconds_total": Metric(
        "counter",
        "Seconds spent, by phase: decode (pictures from bytes), queued (first edit of a request "
        "until its batch), encode (vision tower), prefill (prompts), generate, parse",
    ),
    "prompt_tokens_total": Metric(
        "counter", "Prompt tokens asked for and, prefixes shared, computed"
    ),
    "pictures_total": Metric("counter", "Pictures shown in prompts and, each once, encoded"),
    "answers_unreadable_total": Metric("counter", "Edits whose answer could not be parsed"),
    "answers_mended_total": Metric(
        "counter", "Edits in whose answer something was put right before it was read, by what"
    ),
    "edits_failed_total": Metric("counter", "Edits without a judgement, by kind of failure"),
    "edits_total": Metric("counter", "Edits answered, by status"),
    "requests_total": Metric("counter", "Requests answered, with judgements or a fault"),
    "request_seconds_total": Metric("counter", "Seconds from a request's arrival to its answer"),
    "requests_refused_total": Metric("counter", "Requests answered with a fault, by reason"),
    "batches_total": Metric("counter", "Batches judged"),
    "batch_edits_total": Metric("counter", "Edits in those batches"),
    "queued_edits": Metric("gauge", "Edits that have arrived and are not judged yet"),
    "waiting_bytes": Metric("gauge", "Bytes reserved for the pictures of those edits"),
}

_PHASES = ("decode", "queued", "encode", "prefill", "generate", "parse")
SERIES: Mapping[str, Series] = {
    **{f"seconds/{phase}": Series("seconds_total", {"phase": phase}) for phase in _PHASES},
    **{
        f"prompt_tokens/{kind}": Series("prompt_tokens_total", {"kind": kind})
        for kind in ("asked", "computed")
    },
    **{
        f"pictures/{kind}": Series("pictures_total", {"kind": kind})
        for kind in ("shown", "encoded")
    },
    "answers/unreadable": Series("answers_unreadable_total", {}),
    **{f"mended/{one}": Series("answers_mended_total", {"mending": one}) for one in Mending},
    **{f"failed/{one}": Series("edits_failed_total", {"failure": one}) for one in Failure},
    **{f"edits/{status}": Series("edits_total", {"status": status}) for status in ("ok", "failed")},
    **{
        f"refused/{reason}": Series("requests_refused_total", {"reason": reason})
        for reason in ("invalid", "busy", "memory", "cancelled", "failed")
    },
    "requests": Series("requests_total", {}),
    "request_seconds": Series("request_seconds_total", {}),
    "batches": Series("batches_total", {}),
    "batch_edits": Series("batch_edits_total", {}),
    "queued_edits": Series("queued_edits", {}),
    "waiting_bytes": Series("waiting_bytes", {}),
}
"""Series by the name of the measured amount."""


class Gathering:
    """Aggregates metrics and forwards them on ``flush``; safe to use from several threads.

    An engine measures several times a token, and each update of a Triton metric is a blocking
    message to the server's process.
    """

    def __init__(self, hand_on: Measure) -> None:
        """Store the receiver; only one thread at a time calls it."""
        self._hand_on = hand_on
        self._amounts: dict[str, float] = {}
        self._adding = threading.Lock()
        self._handing_on = threading.Lock()

    def measure(self, name: str, amount: float) -> None:
        """Add to a counter, or set a gauge."""
        with self._adding:
            if METRICS[SERIES[name].metric].kind == "counter":
                amount += self._amounts.get(name, 0.0)
            self._amounts[name] = amount

    def flush(self) -> None:
        """Forward the amounts since the last flush."""
        with self._handing_on:
            with self._adding:
                amounts, self._amounts = self._amounts, {}
            for name, amount in amounts.items():
                self._hand_on(name, amount)


def harmless(measure: Measure) -> Measure:
    """Wrap a metrics callback: log its errors instead of raising them."""

    def measured(name: str, amount: float) -> None:
        try:
            measure(name, amount)
        except Exception:
            logger.exception("%s could not be measured", name)

    return measured
