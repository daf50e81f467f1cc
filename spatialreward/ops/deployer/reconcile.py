"""One look at registry and service, and what follows from it.

The registry names the version to serve, the place itself the one that is served; a deployer acts
upon these two. It remembers only how often a version was tried, so it may be killed at any point.
"""

import logging
from collections import Counter
from enum import StrEnum
from typing import NamedTuple

from spatialreward.errors import ArtifactError, SpatialRewardError
from spatialreward.ops.cluster.api import ClusterError
from spatialreward.ops.deployer.backends import Backend, Progress, Served
from spatialreward.ops.deployment.errors import DeploymentError, NothingKnown, ServerAway
from spatialreward.ops.promotion import reinstate, tags
from spatialreward.ops.promotion.errors import PromotionError
from spatialreward.ops.registry import (
    CHAMPION,
    ModelVersion,
    Registered,
    aliases_of,
    look_up,
    set_version_tags,
)
from spatialreward.ops.tracking import TrackingError
from spatialreward.storage import StorageError

logger = logging.getLogger(__name__)

_NOTHING_KNOWN = (NothingKnown, ClusterError, TrackingError, StorageError)
"""Errors that say nothing about a version."""


class Outcome(StrEnum):
    """The result of one look."""

    UNCHANGED = "unchanged"
    PROGRESSING = "progressing"
    """A version is on its way."""
    DEPLOYED = "deployed"
    FAILED = "failed"
    """A version could not be served, and the alias went back."""
    ERROR = "error"
    """Registry or service cannot be used now; nothing was changed, try again."""


class Look(NamedTuple):
    """One look, in words that a person can act upon."""

    outcome: Outcome
    served: Served | None
    message: str


class _Promotion(NamedTuple):
    """A version, once for each of its promotions."""

    model: ModelVersion
    promoted_at: str


class Reconciler:
    """Serves the champion."""

    def __init__(self, name: str, backend: Backend, attempts: int) -> None:
        """Follow the champion of a registered model; nothing is asked yet.

        Args:
            name: the registered model.
            backend: where it is served.
            attempts: how often a version is tried whose server goes away meanwhile.
        """
        self._name = name
        self._backend = backend
        self._attempts = attempts
        self._tried: Counter[_Promotion] = Counter()
        self._given_up: dict[_Promotion, str] = {}
        """Versions that failed and whose alias could not be given back yet."""

    def look(self) -> Look:
        """Compare registry and service once, and do what is to be done."""
        served = None
        try:
            served = self._backend.served()
            return self._act(served)
        except SpatialRewardError as error:
            message = " ".join(str(error).split())
            logger.warning("nothing was changed: %s", message)
            return Look(Outcome.ERROR, served, message)

    def _act(self, served: Served | None) -> Look:
        wanted = self._wanted()
        if wanted is None:
            brought_back = served is not None and self._backend.keep(served)
            self._backend.tidy(served)
            return Look(
                Outcome.DEPLOYED if brought_back else Outcome.UNCHANGED,
                served,
                f"{self._name}: no version is {CHAMPION}",
            )
        if served is not None and served.version == wanted.model.version:
            return self._look_after(wanted, served)
        if served is not None:
            self._keep_meanwhile(served)
        return self._replace(served, wanted)

    def _wanted(self) -> Registered | None:
        model = aliases_of(self._name).get(CHAMPION)
        return look_up(model.uri) if model else None

    def _check_wanted(self, model: ModelVersion) -> None:
        """Make sure that a version still is champion while it is tried."""
        try:
            champion = aliases_of(self._name).get(CHAMPION)
        except TrackingError as error:
            logger.warning("whether %s still is %s is not known: %s", model.uri, CHAMPION, error)
            return
        if champion != model:
            raise NothingKnown(f"{model.uri} is no longer {CHAMPION}: its deployment stops")

    def _look_after(self, wanted: Registered, served: Served) -> Look:
        brought_back = self._backend.keep(served)
        if brought_back:
            logger.info("%s had to be brought back", wanted.model.uri)
        # A deployer killed after the switch left the tags unset.
        self._note_served(wanted, served)
        self._backend.tidy(served)
        outcome = Outcome.DEPLOYED if brought_back else Outcome.UNCHANGED
        return Look(outcome, served, f"{wanted.model.uri} is served as {served.known_as}")

    def _keep_meanwhile(self, served: Served) -> None:
        """Look after the served version while another one is tried."""
        try:
            self._backend.keep(served)
        except _NOTHING_KNOWN:
            raise
        except DeploymentError as error:
            logger.warning("version %d is not back: %s", served.version, error)

    def _replace(self, served: Served | None, wanted: Registered) -> Look:
        promotion = _Promotion(wanted.model, wanted.tags.get(tags.PROMOTED_AT, ""))
        if promotion in self._given_up:
            return self._give_back(promotion, served, self._given_up[promotion])
        try:
            now = self._backend.deploy(
                wanted.model,
                lambda: self._check_wanted(wanted.model),
                # A promotion removes the tag; a demotion keeps it on the version returned to.
                is_return=wanted.tags.get(tags.SERVING) in (tags.SERVED, tags.RETIRED),
            )
        except SpatialRewardError as error:
            self._count_or_raise(promotion, error)
            return self._give_back(promotion, served, str(error))
        if isinstance(now, Progress):
            message = f"{wanted.model.uri} is {CHAMPION}: {now.message}"
            logger.info("%s", message)
            return Look(Outcome.PROGRESSING, served, message)
        self._tried.pop(promotion, None)
        if served is not None:
            self._note_retired(served)
        self._note_served(wanted, now)
        return Look(Outcome.DEPLOYED, now, f"{wanted.model.uri} is served as {now.known_as}")

    def _count_or_raise(self, promotion: _Promotion, error: SpatialRewardError) -> None:
        """Go on with an error that speaks against the version; raise one that does not.

        A server that goes away each time says something after all, and so do files that are
        missing or altered each time.
        """
        if not isinstance(error, _NOTHING_KNOWN):
            return
        if isinstance(error, ServerAway | ArtifactError):
            self._tried[promotion] += 1
        if self._tried[promotion] < self._attempts:
            raise error
        logger.warning("%s: %d attempts are enough", promotion.model.uri, self._attempts)

    def _give_back(self, promotion: _Promotion, served: Served | None, reason: str) -> Look:
        """Point the alias at the served version; with the registry away, the next look retries."""
        self._given_up[promotion] = reason
        before = ModelVersion(self._name, served.version) if served else None
        try:
            reinstate(promotion.model, before, reason)
        except (TrackingError, PromotionError) as error:
            raise TrackingError(
                f"{promotion.model.uri} could not be served ({reason}), and {CHAMPION} could "
                f"not be given back: {error}"
            ) from error
        del self._given_up[promotion]
        self._tried.pop(promotion, None)
        told = " ".join(reason.split())
        logger.error("%s could not be served: %s", promotion.model.uri, told)
        return Look(Outcome.FAILED, served, f"{promotion.model.uri} could not be served: {told}")

    def _note_served(self, wanted: Registered, served: Served) -> None:
        is_served, known_as = {tags.SERVING: tags.SERVED}, {tags.SERVED_AS: served.known_as}
        if any(wanted.tags.get(tag) != value for tag, value in (is_served | known_as).items()):
            # In this order: a reader that waits for the last one finds the others.
            set_version_tags(wanted.model, known_as | {tags.SERVING_AT: tags.now()} | is_served)

    def _note_retired(self, served: Served) -> None:
        note = {tags.SERVING: tags.RETIRED, tags.SERVING_AT: tags.now()}
        try:
            set_version_tags(ModelVersion(self._name, served.version), note)
        except TrackingError as error:
            # It may have been deleted from the registry since.
            logger.warning("version %d is retired, its tag was not set: %s", served.version, error)
