"""The deployer's process: looks at once, after each webhook, and every so often."""

import logging
import threading
from collections.abc import Callable

from spatialreward.ops.deployer.backends import Backend
from spatialreward.ops.deployer.config import DeployerConfig, KubernetesBackend, LocalBackend
from spatialreward.ops.deployer.http import Answering, serving
from spatialreward.ops.deployer.metrics import Metrics
from spatialreward.ops.deployer.probes import ProbeEdits
from spatialreward.ops.deployer.reconcile import Look, Outcome, Reconciler
from spatialreward.ops.deployer.status import Status
from spatialreward.ops.deployment.smoke import SmokeEdits
from spatialreward.ops.registry import CHAMPION
from spatialreward.ops.tracking import TrackingError

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
    """Follows the champion until ``stop``."""

    def __init__(
        self,
        config: DeployerConfig,
        backend: Backend,
        secret: str = "",
        register: Callable[[], object] | None = None,
    ) -> None:
        """Bring together what a deployer works with.

        Args:
            config: whom it follows, and how often it looks.
            backend: where it serves.
            secret: of webhooks; empty: none is accepted.
            register: has MLflow call this deployer; tried before each look until it succeeds.
        """
        self._config = config
        self._secret = secret
        self._register = register
        self._reconciler = Reconciler(config.name, backend, config.attempts)
        self._status = Status()
        self._metrics = Metrics(config.name)
        self._wake = threading.Event()
        self._stopped = False
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
        what = Answering(self._config, self._secret, self._status, self._metrics, self._wake)
        with serving(what) as port:
            logger.info(
                "following %s of %s, at %s:%d",
                CHAMPION,
                self._config.name,
                self._config.host,
                port,
            )
            self.port = port
            if started is not None:
                started.set()
            errors = 0
            while not self._stopped:
                self._wake.clear()
                self._register_once()
                look = self.once()
                errors = errors + 1 if look.outcome is Outcome.ERROR else 0
                if not self._stopped:
                    self._wake.wait(self._pause_s(errors))

    def stop(self) -> None:
        """End ``run`` after the look that is under way; may be called from any thread."""
        self._stopped = True
        self._wake.set()

    def _register_once(self) -> None:
        """A webhook is a wake-up only, so a registry that is away now is no reason not to go on."""
        if self._register is None:
            return
        try:
            self._register()
        except TrackingError as error:
            logger.warning("no webhook yet, the next look tries again: %s", error)
        else:
            self._register = None

    def _pause_s(self, errors: int) -> float:
        """After errors in a row, shorter at first than usual, then ever longer."""
        if not errors:
            return self._config.reconcile_s
        return min(2.0 ** min(errors, 16), self._config.backoff_max_s)
