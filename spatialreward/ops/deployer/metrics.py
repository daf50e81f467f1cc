"""What a deployer counts, for Prometheus."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from spatialreward.ops.deployer.reconcile import Look, Outcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The series of one deployer."""

    def __init__(self, model: str) -> None:
        """Begin at zero, with every series that there will be.

        Args:
            model: the registered model.
        """
        self._registry = CollectorRegistry()
        self._model = model
        self._reconciles = Counter(
            "spatialreward_deployer_reconciles",
            "Comparisons of registry and service, by what came of them.",
            ["outcome"],
            registry=self._registry,
        )
        self._served = Gauge(
            "spatialreward_deployer_served_version",
            "Version of the registered model that is served; 0: none.",
            ["model"],
            registry=self._registry,
        )
        self._success = Gauge(
            "spatialreward_deployer_last_success_timestamp_seconds",
            "When registry and service were last seen to agree.",
            registry=self._registry,
        )
        self._webhooks = Counter(
            "spatialreward_deployer_webhooks",
            "Webhooks, by what became of them.",
            ["outcome"],
            registry=self._registry,
        )
        for outcome in Outcome:
            self._reconciles.labels(outcome=outcome)
        for told in ("accepted", "ignored", "refused"):
            self._webhooks.labels(outcome=told)
        self._served.labels(model=model)

    def looked(self, look: Look) -> None:
        """Count one look at registry and service."""
        self._reconciles.labels(outcome=look.outcome).inc()
        if look.outcome is not Outcome.ERROR:
            self._success.set(time.time())
            self._served.labels(model=self._model).set(look.served.version if look.served else 0)

    def webhook(self, outcome: str) -> None:
        """Count one webhook: ``accepted``, ``ignored`` or ``refused``."""
        self._webhooks.labels(outcome=outcome).inc()

    def text(self) -> bytes:
        """All series as Prometheus reads them."""
        return generate_latest(self._registry)
