"""What the servers of a version have counted: requests, their time, edits that failed."""

import logging
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import NamedTuple, Self

from prometheus_client.parser import text_string_to_metric_families

logger = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
# Pods must not be asked of a proxy.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Counts(NamedTuple):
    """What one server has counted since it was started, or what was counted in a while."""

    requests: float = 0.0
    seconds: float = 0.0
    """Of all requests together."""
    edits: float = 0.0
    failed: float = 0.0
    """Edits without a judgement, and requests that the server failed."""

    @property
    def failed_share(self) -> float:
        """Of the edits; 0 where there were none."""
        return self.failed / self.edits if self.edits else 0.0

    @property
    def mean_s(self) -> float:
        """Of a request; 0 where there were none."""
        return self.seconds / self.requests if self.requests else 0.0

    def plus(self, other: Self) -> Self:
        """Both together."""
        return type(self)(*(mine + more for mine, more in zip(self, other, strict=True)))

    def since(self, before: Self) -> Self:
        """What came on top; a server that was started again has counted from 0."""
        if self.requests < before.requests or self.edits < before.edits:
            return self
        return type(self)(*(now - then for now, then in zip(self, before, strict=True)))


def read_counts(addresses: Mapping[str, str], model: str) -> dict[str, Counts]:
    """The counts of servers, by name; one that does not answer is left out.

    Args:
        addresses: URLs of Triton's metrics.
        model: whose requests.
    """
    found = {}
    for name, url in addresses.items():
        try:
            with _OPENER.open(url, timeout=_TIMEOUT_S) as response:
                found[name] = parse_counts(response.read().decode(), model)
        except (OSError, HTTPException, ValueError) as error:
            logger.warning("metrics of %s at %s: %s", name, url, error)
    return found


def counted_meanwhile(before: Mapping[str, Counts], after: Mapping[str, Counts]) -> Counts:
    """What all servers together counted between two readings."""
    total = Counts()
    for name, counts in after.items():
        total = total.plus(counts.since(before.get(name, Counts())))
    return total


def parse_counts(text: str, model: str) -> Counts:
    """Counts in Prometheus's text form.

    Raises:
        ValueError: it is no such text.
    """
    told = {"requests": 0.0, "seconds": 0.0, "ok": 0.0, "failed": 0.0, "broken": 0.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("model") != model:
                continue
            match sample.name:
                case "spatialreward_requests_total":
                    told["requests"] += sample.value
                case "spatialreward_request_seconds_total":
                    told["seconds"] += sample.value
                case "spatialreward_edits_total":
                    told[sample.labels.get("status", "ok")] += sample.value
                case "nv_inference_request_failure" | "nv_inference_request_failure_total":
                    told["broken"] += sample.value
    failed = told["failed"] + told["broken"]
    return Counts(told["requests"], told["seconds"], told["ok"] + failed, failed)
