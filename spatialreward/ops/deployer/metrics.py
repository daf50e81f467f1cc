"""What a deployer counts, for Prometheus."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge

from spatialreward.ops.deployer.reconcile import Look, Outcome


class Metrics:
    """The series of one deployer."""

    def __init__(self, model: str) -> None:
        """Begin at zero, with every series that there will be.

        Args:
            model: the registered model.
        """
        self.registry = CollectorRegistry()
        """All series, as ``prometheus_client`` exposes them."""
        self._model = model
        self._reconciles = Counter(
            "spatialreward_deployer_reconciles",
            "Comparisons of registry and service, by what came of them.",
            ["outcome"],
            registry=self.registry,
        )
        self._served = Gauge(
            "spatialreward_deployer_served_version",
            "Version of the registered model that is served; 0: none.",
            ["model"],
            registry=self.registry,
        )
        self._success = Gauge(
            "spatialreward_deployer_last_success_timestamp_seconds",
            "When registry and service were last seen to agree.",
            registry=self.registry,
        )
        for outcome in Outcome:
            self._reconciles.labels(outcome=outcome)
        self._served.labels(model=model)

    def looked(self, look: Look) -> None:
        """Count one look at registry and service."""
        self._reconciles.labels(outcome=look.outcome).inc()
        if look.outcome is not Outcome.ERROR:
            self._success.set(time.time())
            self._served.labels(model=self._model).set(look.served.version if look.served else 0)
