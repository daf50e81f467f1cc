"""Serves on one Triton server through its explicit model control (``ops.deployment``)."""

from collections.abc import Callable

from spatialreward.ops.deployer.backends import Served
from spatialreward.ops.deployer.config import LocalBackend, TrialBounds
from spatialreward.ops.deployer.probes import Judge, ProbeEdits, check_trial
from spatialreward.ops.deployment import deploy, restore
from spatialreward.ops.deployment.errors import NothingKnown, ServerAway
from spatialreward.ops.deployment.repository import ModelFolder
from spatialreward.ops.deployment.server import Server
from spatialreward.ops.deployment.smoke import SmokeEdits
from spatialreward.ops.registry import ModelVersion, fetch_verified


class LocalServing:
    """See ``backends.Backend``."""

    def __init__(
        self,
        config: LocalBackend,
        name: str,
        smoke_edits: SmokeEdits,
        probe_edits: ProbeEdits,
        bounds: TrialBounds,
    ) -> None:
        """Serve versions of a registered model on the server that the configuration names.

        Raises:
            InvalidInputError: there is no such repository, or the model's name is none.
        """
        self._config = config
        self._name = name
        self._smoke_edits = smoke_edits
        self._probe_edits = probe_edits
        self._bounds = bounds
        self._key = config.repository_key.get_secret_value()
        self._folder = ModelFolder(config.repository, config.model)
        self._server = Server(config.endpoint, self._key)

    def served(self) -> Served | None:
        """See ``Backend``."""
        number = self._folder.served()
        version = self._folder.versions().get(number) if number else None
        # Another checkpoint may be served under this number, such as a folder.
        if version is None or version.source != ModelVersion(self._name, version.version).uri:
            return None
        return Served(version.version, f"{self._config.model}/{version.version}")

    def keep(self, served: Served) -> bool:
        """See ``Backend``: loads it on a server that was restarted."""
        if self._server.ready_versions(self._config.model) == [served.version]:
            return False
        return restore(
            repository=self._config.repository,
            endpoint=self._config.endpoint,
            key=self._key,
            model=self._config.model,
        )

    def tidy(self, served: Served | None) -> None:
        """See ``Backend``: every deployment tidies up by itself."""

    def deploy(
        self, model: ModelVersion, check: Callable[[], None], *, is_return: bool = False
    ) -> Served:
        """See ``Backend``."""
        try:
            self._server.ready_versions(self._config.model)
        except ServerAway as error:
            # It went away before the version was tried, so that is no attempt.
            raise NothingKnown(str(error)) from error

        def trial(served: str | None, staged: str) -> None:
            check()
            if not is_return:
                self._compare(served, staged)

        number = deploy(
            fetch_verified(model.uri).folder,
            template=self._config.template,
            repository=self._config.repository,
            endpoint=self._config.endpoint,
            key=self._key,
            model=self._config.model,
            source=model.uri,
            smoke_edits=self._smoke_edits,
            keep=self._config.keep,
            trial=trial,
        )
        return Served(model.version, f"{self._config.model}/{number}")

    def _compare(self, served: str | None, staged: str) -> None:
        if served is None or not self._probe_edits:
            return
        endpoint = self._config.endpoint
        check_trial(
            Judge(endpoint, served), Judge(endpoint, staged), self._probe_edits, self._bounds
        )
