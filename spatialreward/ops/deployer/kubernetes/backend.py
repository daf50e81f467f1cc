"""Serves in a cluster: a Deployment for each version, and requests brought to one of them."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployer.backends import Served
from spatialreward.ops.deployer.config import KubernetesBackend, TrialBounds
from spatialreward.ops.deployer.kubernetes.api import Api, Kind, Object
from spatialreward.ops.deployer.kubernetes.canary import Watched, give_share
from spatialreward.ops.deployer.kubernetes.counts import Counts, read_counts
from spatialreward.ops.deployer.kubernetes.lease import Lease
from spatialreward.ops.deployer.kubernetes.readiness import (
    needs_readiness,
    pod_addresses,
    readiness_of,
    trouble_of,
)
from spatialreward.ops.deployer.kubernetes.template import documents_of, read_template, version_name
from spatialreward.ops.deployer.kubernetes.traffic import Traffic
from spatialreward.ops.deployer.kubernetes.versions import Versions
from spatialreward.ops.deployer.probes import Judge, ProbeEdits, ServedTooBusy, check_trial
from spatialreward.ops.deployment.errors import DeploymentError, NothingKnown, ServerAway
from spatialreward.ops.deployment.smoke import SmokeEdits, check_answers
from spatialreward.ops.registry import ModelVersion

logger = logging.getLogger(__name__)


class ClusterServing:
    """See ``backends.Backend``."""

    def __init__(
        self,
        config: KubernetesBackend,
        name: str,
        smoke_edits: SmokeEdits,
        probe_edits: ProbeEdits,
        bounds: TrialBounds,
        api: Api | None = None,
    ) -> None:
        """Serve versions of a registered model in the namespace that the configuration names.

        Raises:
            InvalidInputError: the template is none, or there is no cluster.
        """
        read_template(config.template, config.service)
        self.config = config
        self._name = name
        self._smoke_edits = smoke_edits
        self._probe_edits = probe_edits
        self._bounds = bounds
        self._api = api or Api.from_environment(config.namespace)
        self._traffic = Traffic(self._api, config.service, config.route)
        self._lease = Lease(self._api, config.lease, config.lease_s)

    def turn(self) -> AbstractContextManager[bool]:
        """See ``Backend``: whoever has the Lease has the cluster's judge to itself."""
        return self._lease.turn()

    def served(self) -> Served | None:
        """See ``Backend``: what the Service selects."""
        version = self._traffic.served()
        return None if version is None else self._as_served(version)

    def keep(self, served: Served) -> bool:
        """See ``Backend``: selector and objects are as they should be, and one server answers.

        A version that was changed by hand, or whose template is another one now, is rolled over to
        it by the cluster, server by server. One that does not answer is not waited for: whoever
        looks meanwhile may find that another one is wanted.
        """
        documents = self._documents(ModelVersion(self._name, served.version))
        was_there = self._answers(served.version)
        self._traffic.hold_back()
        self._apply(documents)
        if not was_there and (missing := self._missing(served.version, documents)):
            raise DeploymentError(f"version {served.version} does not answer: {missing}")
        return not was_there

    def tidy(self, served: Served | None) -> None:
        """See ``Backend``; not before connections to the version that was left had time to end."""
        if self._traffic.seconds_since_switch() < self.config.drain_s:
            return
        self._lease.check()
        self._traffic.together()
        kept = self._traffic.served_before()
        self._versions().retire(served.version if served else None, kept)

    def deploy(
        self, model: ModelVersion, check: Callable[[], None], *, is_return: bool = False
    ) -> Served:
        """See ``Backend``; the version before keeps its servers until ``tidy``."""

        def go_on() -> None:
            self._lease.check()
            check()

        old = self._traffic.served()
        documents = self._documents(model)
        self._traffic.hold_back()
        self._traffic.together()
        with self._removed_on_failure(model.version, old):
            logger.info("%s: starting its servers", model.uri)
            self._apply(documents)
            self._wait_until_ready(model.version, documents, go_on)
            beside = None if is_return else old
            self._try_out(model.version, beside, go_on)
            go_on()
            if beside is not None and self._traffic.can_be_shared and self._answers(beside):
                self._share(beside, model.version, go_on)
            self._switch(model.version)
        logger.info("%s is served, before: version %s", model.uri, old)
        return self._as_served(model.version)

    def _try_out(self, version: int, old: int | None, go_on: Callable[[], None]) -> None:
        """Ask a version where no client does."""
        self._patiently(
            lambda: self._check(self._address(version), version, self._smoke_edits), go_on
        )
        self._compare(version, old)

    def _compare(self, version: int, old: int | None) -> None:
        if old is None or not self._probe_edits:
            return
        model = self.config.model
        check_trial(
            Judge(self._address(old), model),
            Judge(self._address(version), model),
            self._probe_edits,
            self._bounds,
        )

    def _share(self, old: int, new: int, go_on: Callable[[], None]) -> None:
        def compare() -> None:
            try:
                self._compare(new, old)
            except ServedTooBusy as error:
                # They have been compared before, and their counts still are.
                logger.warning("not compared this time: %s", error)

        watched = Watched(self._counts, compare, go_on)
        try:
            give_share(self._traffic, self.config.canary, old, new, watched)
            go_on()
        except BaseException:
            # Also when this process is told to end: nobody watches the new version then.
            self._try_to_bring_together()
            raise

    def _try_to_bring_together(self) -> None:
        try:
            self._traffic.together()
        except DeploymentError as error:
            logger.warning("requests are still shared, the next look ends that: %s", error)

    def _switch(self, version: int) -> None:
        self._traffic.switch(version)
        stable = self.config.stable_address.format(
            service=self.config.service, namespace=self.config.namespace
        )
        try:
            self._patiently(lambda: self._check(stable, version, {}), self._lease.check)
        except ServerAway as error:
            # It answered a moment ago, and nobody else answers requests now.
            raise DeploymentError(f"version {version} after the switch: {error}") from error

    def _check(self, endpoint: str, version: int, edits: SmokeEdits) -> None:
        check_answers(endpoint, self.config.model, version, edits)

    def _patiently(self, ask: Callable[[], None], go_on: Callable[[], None]) -> None:
        """Ask until it works: the cluster takes a moment to bring requests to somebody new.

        Raises:
            DeploymentError: as the last attempt ended.
        """
        deadline = time.monotonic() + self.config.switch_timeout_s
        while True:
            try:
                return ask()
            except DeploymentError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(self.config.poll_s)
            go_on()

    @contextmanager
    def _removed_on_failure(self, version: int, old: int | None) -> Iterator[None]:
        """Bring requests back and remove a version that is no good.

        Where nothing is known about it, or this process is told to end, all stays for whoever
        comes next.
        """
        try:
            yield
        except NothingKnown:
            raise
        except DeploymentError:
            try:
                self._traffic.leave(version, old)
                self._versions().remove(version)
            except DeploymentError as second:
                # The caller is told why the version failed; the next look tidies up.
                logger.warning("version %d could not be removed: %s", version, second)
            raise

    def _apply(self, documents: list[Object]) -> None:
        for document in documents:
            self._lease.check()
            self._api.apply(document)

    def _answers(self, version: int) -> bool:
        """Whether a version's servers can be asked, as far as the cluster knows."""
        documents = self._documents(ModelVersion(self._name, version))
        return all(
            readiness_of(self._api.get(kind, name), f"{kind.name} {name}").answers
            for kind, name in _with_servers(documents)
        )

    def _wait_until_ready(
        self, version: int, documents: list[Object], go_on: Callable[[], None]
    ) -> None:
        deadline = time.monotonic() + self.config.ready_timeout_s
        while missing := self._missing(version, documents):
            if time.monotonic() > deadline:
                raise DeploymentError(
                    f"version {version}: not ready after {self.config.ready_timeout_s:g} s: "
                    f"{missing}"
                )
            time.sleep(self.config.poll_s)
            go_on()

    def _missing(self, version: int, documents: list[Object]) -> str:
        """What a version lacks to be ready; empty: nothing."""
        missing = []
        for kind, name in _with_servers(documents):
            told = readiness_of(self._api.get(kind, name), f"{kind.name} {name}")
            if not told.ready:
                trouble = trouble_of(self._api, version, self.config.max_restarts)
                why = f"{told.told} ({trouble})" if trouble else told.told
                if told.hopeless:
                    raise DeploymentError(f"version {version}: {why}")
                missing.append(why)
        return "; ".join(missing)

    def _counts(self, version: int) -> dict[str, Counts]:
        addresses = {
            name: self.config.metrics_address.format(ip=ip, version=version)
            for name, ip in pod_addresses(self._api, version).items()
        }
        return read_counts(addresses, self.config.model)

    def _documents(self, model: ModelVersion) -> list[Object]:
        return documents_of(self._template(), self.config.service, model)

    def _versions(self) -> Versions:
        template = self._template()
        return Versions(self._api, template, self.config.service, self._name, self.config.keep)

    def _template(self) -> list[Object]:
        """Read anew each time: a new template is a new way to serve the same version."""
        try:
            return read_template(self.config.template, self.config.service)
        except InvalidInputError as error:
            # Whoever broke it did not break a version.
            raise NothingKnown(str(error)) from error

    def _address(self, version: int) -> str:
        return self.config.version_address.format(
            name=version_name(self.config.service, version),
            namespace=self.config.namespace,
            version=version,
        )

    def _as_served(self, version: int) -> Served:
        return Served(version, f"{self.config.model}/{version}")


def _with_servers(documents: list[Object]) -> list[tuple[Kind, str]]:
    kinds = [(Kind.of(document), document["metadata"]["name"]) for document in documents]
    return [(kind, name) for kind, name in kinds if needs_readiness(kind)]
