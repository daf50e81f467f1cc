"""The deployer's process: looks at once, and every so often."""

import logging
import threading

from spatialreward.ops.deployer.backends import Backend
from spatialreward.ops.deployer.config import DeployerConfig, KubernetesBackend, LocalBackend
from spatialreward.ops.deployer.http import serving
from spatialreward.ops.deployer.metrics import Metrics
from spatialreward.ops.deployer.probes import ProbeEdits
from spatialreward.ops.deployer.reconcile import Look, Outcome, Reconciler
from spatialreward.ops.deployer.status import Status
from spatialreward.ops.deployment.smoke import SmokeEdits
from spatialreward.ops.registry import CHAMPION

logger = logging.getLogger(__name__)


def backend_of(config: DeployerConfig, smoke_edits: SmokeEdits, probe_edits: ProbeEdits) -> Backend:
    """The place where a deployer serves.

    Raises:
        InvalidInputError: it cannot be used as it was configured.
    """
    match config.backend:
        case LocalBackend():
            from spatialreward.ops.deployer.local import LocalServing

            return LocalServing(
                config.backend, config.name, smoke_edits, probe_edits, config.bounds
            )
        case KubernetesBackend():
            from spatialreward.ops.deployer.cluster import ClusterServing

            return ClusterServing(config.backend, config.name, smoke_edits)


class Deployer:
    """Follows the champion until it is stopped."""

    def __init__(self, config: DeployerConfig, backend: Backend) -> None:
        """Bring together what a deployer works with.

        Args:
            config: which model it follows, and how often it looks.
            backend: where it serves.
        """
        self._config = config
        self._reconciler = Reconciler(config.name, backend, config.attempts)
        self._status = Status()
        self._metrics = Metrics(config.name)
        self._stopped = threading.Event()
        self.port = config.port
        """Where HTTP is answered, once it is."""

    def once(self) -> Look:
        """Look once."""
        try:
            look = self._reconciler.look()
        except Exception as error:
            # Whatever it is, what is served is served, and the next look may see better.
            logger.exception("unexpected")
            look = Look(Outcome.ERROR, None, f"{type(error).__name__}: {error}")
        self._metrics.looked(look)
        self._status.looked(look)
        return look

    def run(self, started: threading.Event | None = None) -> None:
        """Look again and again until ``stop``, and answer HTTP meanwhile.

        Args:
            started: set when HTTP is answered.

        Raises:
            InvalidInputError: the address cannot be listened at.
        """
        host, registry = self._config.host, self._metrics.registry
        with serving(host, self._config.port, self._status, registry) as self.port:
            logger.info(
                "following %s of %s, at %s:%d", CHAMPION, self._config.name, host, self.port
            )
            if started is not None:
                started.set()
            errors = 0
            while not self._stopped.is_set():
                look = self.once()
                errors = errors + 1 if look.outcome is Outcome.ERROR else 0
                self._stopped.wait(self._pause_s(errors))

    def stop(self) -> None:
        """End ``run`` after the look that is under way; may be called from any thread."""
        self._stopped.set()

    def _pause_s(self, errors: int) -> float:
        """After errors in a row, shorter at first than usual, then ever longer."""
        if not errors:
            return self._config.reconcile_s
        return min(2.0 ** min(errors, 16), self._config.backoff_max_s)
