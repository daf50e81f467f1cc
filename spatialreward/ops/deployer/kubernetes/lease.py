"""A Lease that lets one deployer at a time work, and keeps others waiting."""

import datetime
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spatialreward.ops.deployer.kubernetes.api import CONFLICT, LEASE, Api, Object
from spatialreward.ops.deployer.kubernetes.errors import ClusterRefused
from spatialreward.ops.deployment.errors import DeploymentError, SomebodyElseDeploys

logger = logging.getLogger(__name__)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Lease:
    """A turn at the judge's objects; it runs out by itself when its holder is gone."""

    def __init__(
        self,
        api: Api,
        name: str,
        lease_s: float,
        clock: Callable[[], datetime.datetime] = _now,
    ) -> None:
        """Hold nothing yet.

        Args:
            api: of the Lease's namespace.
            name: of the Lease.
            lease_s: after how long without renewal it is free.
            clock: the time of day.
        """
        self._api = api
        self._name = name
        self._lease_s = lease_s
        self._clock = clock
        # A pod that was restarted is another holder: the first may still be at work.
        self._holder = f"{os.uname().nodename}-{uuid.uuid4().hex[:8]}"
        self._lost = threading.Event()
        self._renewed_at = clock()

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Hold it for a ``with`` block and renew it meanwhile; False: somebody else has it.

        Raises:
            ClusterAway, ClusterRefused: it cannot be asked for.
        """
        if not self._take():
            yield False
            return
        self._lost.clear()
        over = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(over,), name="lease", daemon=True)
        renewing.start()
        try:
            yield True
        finally:
            over.set()
            renewing.join()
            self._give_back()

    def check(self) -> None:
        """Make sure that it is still held, before anything is changed.

        Raises:
            SomebodyElseDeploys: it could not be renewed in time.
        """
        late = (self._clock() - self._renewed_at).total_seconds() > self._lease_s
        if late or self._lost.is_set():
            raise SomebodyElseDeploys(f"lease {self._name} was lost, another deployer may have it")

    def _take(self) -> bool:
        """Get or renew it, unless somebody else holds it or was faster."""
        found = self._api.get(LEASE, self._name)
        now = self._clock()
        if found is None:
            wanted: Object = {
                "apiVersion": LEASE.api_version,
                "kind": LEASE.name,
                "metadata": {"name": self._name},
                "spec": self._spec(now),
            }
            write = self._api.create
        else:
            spec = found.setdefault("spec", {})
            if self._is_anothers(spec, now):
                logger.debug("lease %s is held by %s", self._name, spec.get("holderIdentity"))
                return False
            found["spec"] = spec | self._spec(now)
            wanted, write = found, self._api.replace
        try:
            write(wanted)
        except ClusterRefused as error:
            if error.status == CONFLICT:
                return False
            raise
        self._renewed_at = now
        return True

    def _is_anothers(self, spec: Object, now: datetime.datetime) -> bool:
        holder = spec.get("holderIdentity")
        if not holder or holder == self._holder:
            return False
        renewed = datetime.datetime.fromisoformat(spec["renewTime"])
        ends = renewed + datetime.timedelta(seconds=spec.get("leaseDurationSeconds", 0))
        return now < ends

    def _spec(self, now: datetime.datetime, holder: str | None = None) -> Object:
        time = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "holderIdentity": self._holder if holder is None else holder,
            "leaseDurationSeconds": max(1, round(self._lease_s)),
            "renewTime": time,
        }

    def _renew(self, over: threading.Event) -> None:
        while not over.wait(self._lease_s / 3):
            try:
                if not self._take():
                    self._lost.set()
                    return
            except DeploymentError as error:
                # ``check`` notices when this lasts too long.
                logger.warning("lease %s was not renewed: %s", self._name, error)

    def _give_back(self) -> None:
        if self._lost.is_set():
            return
        try:
            found = self._api.get(LEASE, self._name)
            if found and found["spec"].get("holderIdentity") == self._holder:
                found["spec"] |= self._spec(self._clock(), holder="")
                self._api.replace(found)
        except DeploymentError as error:
            logger.warning("lease %s was not given back, it runs out: %s", self._name, error)
