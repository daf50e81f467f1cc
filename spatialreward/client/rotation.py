"""Which of several servers is next, and which of them are put aside; sends nothing itself.

gRPC's own round robin and retry policy cannot do this: one channel balances over IP addresses or
one DNS name, retries five times at most and without the hint in a busy server's message, and never
after a timeout or for a server without the model. Triton's health service has no ``Watch``, which
gRPC's health checking needs.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from spatialreward.client.config import DEFAULT_MODEL
from spatialreward.client.errors import (
    DeadlineExceeded,
    ModelNotServed,
    ServerBusy,
    ServerUnavailable,
    ServingError,
)


class Absence(Enum):
    """Why a server is put aside."""

    AWAY = auto()
    BUSY = auto()
    LATE = auto()
    NO_MODEL = auto()


@dataclass(frozen=True)
class Aside:
    """A server that is not asked for now; times are those of the rotation's clock."""

    absence: Absence
    reason: str
    due: float
    """From when on it gets its turn again. Before, it is asked only if no other is left."""
    barred_until: float
    """Until when it must not be asked at all, since it said so."""


class Rotation:
    """Takes turns among servers; safe to use from several threads."""

    def __init__(
        self,
        endpoints: Collection[str],
        aside_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with every server in its place.

        Args:
            endpoints: the addresses.
            aside_s: how long a server is put aside that does not say how long it is busy.
            clock: the time in seconds.
        """
        self._order = list(endpoints)
        self._aside_s = aside_s
        self._clock = clock
        self._aside: dict[str, Aside] = {}
        self._lock = threading.Lock()

    def next(self, tried: Collection[str]) -> str | None:
        """The next server to ask, other than ``tried``; None where none is left."""
        with self._lock:
            now = self._clock()
            left = [one for one in self._order if one not in tried]
            left = [one for one in left if not self._is_barred(one, now)]
            chosen = min(left, key=lambda one: self._is_waiting(one, now), default=None)
            if chosen is None:
                return None
            self._order.remove(chosen)
            self._order.append(chosen)
            if aside := self._aside.get(chosen):
                # One caller finds out whether it is back; the others keep to servers that answer.
                self._aside[chosen] = replace(aside, due=now + self._aside_s)
            return chosen

    def is_aside(self, endpoint: str) -> bool:
        """Whether it must be probed before it is asked, since it did not answer the last time."""
        with self._lock:
            return endpoint in self._aside

    def put_aside(
        self, endpoint: str, absence: Absence, reason: str, hint_s: float | None = None
    ) -> Aside:
        """Give it no turn for a while; for ``hint_s`` if it said that itself."""
        with self._lock:
            now = self._clock()
            wait_s = self._aside_s if hint_s is None else hint_s
            aside = Aside(absence, reason, now + wait_s, now + (hint_s or 0.0))
            self._aside[endpoint] = aside
            return aside

    def take_back(self, endpoint: str) -> None:
        """Give it its turns again: it answered. What it asked for meanwhile still holds."""
        with self._lock:
            if not self._is_barred(endpoint, self._clock()):
                self._aside.pop(endpoint, None)

    def error(self, model: str, request: str, told: Mapping[str, Aside]) -> ServingError:
        """Why no server answered.

        Args:
            model: what the servers were asked for.
            request: which request that was.
            told: the latest refusals, by server; others had asked before to be left alone.
        """
        with self._lock:
            now = self._clock()
            asides = self._aside | dict(told)
        where = ", ".join(f"{endpoint} ({one.reason})" for endpoint, one in sorted(asides.items()))
        where = f"{where}, {request}"
        absences = {one.absence for one in asides.values()}
        if Absence.LATE in absences:
            return DeadlineExceeded(f"{model} at {where}")
        if Absence.BUSY in absences:
            wait_s = max(0.0, min(one.barred_until for one in asides.values()) - now)
            return ServerBusy(f"every server is busy or away: {where}", wait_s)
        if absences == {Absence.NO_MODEL}:
            return ModelNotServed(
                f"no model {model!r} is loaded at {', '.join(sorted(asides))}; "
                f"deploy one with: {_deploying(model)}"
            )
        return ServerUnavailable(f"no server answers at {where}")

    def _is_barred(self, endpoint: str, now: float) -> bool:
        return endpoint in self._aside and now < self._aside[endpoint].barred_until

    def _is_waiting(self, endpoint: str, now: float) -> bool:
        return endpoint in self._aside and now < self._aside[endpoint].due


def _deploying(model: str) -> str:
    command = "spatialreward deploy --model models:/spatial-reward@champion"
    return command if model == DEFAULT_MODEL else f"{command} --name {model}"
