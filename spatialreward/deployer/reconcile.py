"""One look at registry and service, and what follows from it.

The registry says who should be served, the place itself who is. Nothing else is remembered, so a
deployer that was killed at any point goes on where it was: what it finds is what it acts upon.
"""

import logging
from collections import Counter
from enum import StrEnum
from typing import NamedTuple

from spatialreward.deployer.backends import Backend, Served
from spatialreward.deployment.errors import DeploymentError, NothingKnown, ServerAway
from spatialreward.errors import SpatialRewardError
from spatialreward.promotion import reinstate, tags
from spatialreward.promotion.errors import PromotionError
from spatialreward.registry import (
    ModelVersion,
    Registered,
    aliases_of,
    look_up,
    set_version_tags,
)
from spatialreward.storage import StorageError
from spatialreward.tracking import TrackingError

logger = logging.getLogger(__name__)

_NOTHING_KNOWN = (NothingKnown, TrackingError, StorageError)
"""Errors that say nothing about a version."""


class Outcome(StrEnum):
    """What came of one look."""

    UNCHANGED = "unchanged"
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
    """A version, once for each time that somebody promoted it."""

    model: ModelVersion
    promoted_at: str


class Reconciler:
    """Serves whoever an alias points at."""

    def __init__(self, name: str, alias: str, backend: Backend, attempts: int) -> None:
        """Follow an alias of a registered model; nothing is asked yet.

        Args:
            name: the registered model.
            alias: whom to serve.
            backend: where.
            attempts: how often a version is tried whose server goes away meanwhile.
        """
        self._name = name
        self._alias = alias
        self._backend = backend
        self._attempts = attempts
        self._tried: Counter[_Promotion] = Counter()
        self._given_up: dict[_Promotion, str] = {}
        """Versions that failed and whose alias could not be given back yet."""

    def look(self) -> Look:
        """Compare registry and service once, and do what is to be done."""
        served = None
        try:
            with self._backend.turn() as mine:
                served = self._backend.served()
                if not mine:
                    return Look(Outcome.UNCHANGED, served, "another deployer is at work, waiting")
                return self._act(served)
        except SpatialRewardError as error:
            message = " ".join(str(error).split())
            logger.warning("nothing was changed: %s", message)
            return Look(Outcome.ERROR, served, message)

    def _act(self, served: Served | None) -> Look:
        wanted = self._wanted()
        if wanted is None:
            brought_back = served is not None and self._backend.keep(served)
            return Look(
                Outcome.DEPLOYED if brought_back else Outcome.UNCHANGED,
                served,
                f"{self._name}: nobody is {self._alias}",
            )
        if served is not None and served.version == wanted.model.version:
            return self._look_after(wanted, served)
        if served is not None:
            self._keep_meanwhile(served)
        return self._replace(served, wanted)

    def _wanted(self) -> Registered | None:
        model = aliases_of(self._name).get(self._alias)
        return look_up(model.uri) if model else None

    def _look_after(self, wanted: Registered, served: Served) -> Look:
        brought_back = self._backend.keep(served)
        if brought_back:
            logger.info("%s had to be brought back", wanted.model.uri)
        # A deployer that was killed after the switch has not said so.
        self._note_served(wanted, served)
        self._backend.tidy(served)
        outcome = Outcome.DEPLOYED if brought_back else Outcome.UNCHANGED
        return Look(outcome, served, f"{wanted.model.uri} is served as {served.known_as}")

    def _keep_meanwhile(self, served: Served) -> None:
        """Have requests answered while another version is tried."""
        try:
            self._backend.keep(served, wait=False)
        except _NOTHING_KNOWN:
            raise
        except DeploymentError as error:
            logger.warning("version %d cannot be brought back: %s", served.version, error)

    def _replace(self, served: Served | None, wanted: Registered) -> Look:
        promotion = _Promotion(wanted.model, wanted.tags.get(tags.PROMOTED_AT, ""))
        if promotion in self._given_up:
            return self._give_back(promotion, served, self._given_up[promotion])
        logger.info("%s is %s: serving it", wanted.model.uri, self._alias)
        try:
            now = self._backend.deploy(wanted.model)
        except SpatialRewardError as error:
            self._count_or_raise(promotion, error)
            return self._give_back(promotion, served, str(error))
        self._tried.pop(promotion, None)
        if served is not None:
            self._note_retired(served)
        self._note_served(wanted, now)
        return Look(Outcome.DEPLOYED, now, f"{wanted.model.uri} is served as {now.known_as}")

    def _count_or_raise(self, promotion: _Promotion, error: SpatialRewardError) -> None:
        """Go on with an error that speaks against the version; raise one that does not.

        A server that goes away each time says something after all.
        """
        if not isinstance(error, _NOTHING_KNOWN):
            return
        if isinstance(error, ServerAway):
            self._tried[promotion] += 1
        if self._tried[promotion] < self._attempts:
            raise error
        logger.warning("%s: %d attempts are enough", promotion.model.uri, self._attempts)

    def _give_back(self, promotion: _Promotion, served: Served | None, reason: str) -> Look:
        """Point the alias at who is served; if the registry is away, the next look does it."""
        self._given_up[promotion] = reason
        before = ModelVersion(self._name, served.version) if served else None
        try:
            reinstate(promotion.model, before, reason)
        except (TrackingError, PromotionError) as error:
            raise TrackingError(
                f"{promotion.model.uri} could not be served ({reason}), and {self._alias} could "
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
            # One after the other: whoever waits for the last one finds the others there.
            set_version_tags(wanted.model, known_as | {tags.SERVING_AT: tags.now()} | is_served)

    def _note_retired(self, served: Served) -> None:
        note = {tags.SERVING: tags.RETIRED, tags.SERVING_AT: tags.now()}
        try:
            set_version_tags(ModelVersion(self._name, served.version), note)
        except TrackingError as error:
            # It may have been deleted from the registry since.
            logger.warning("version %d is retired, its tag was not set: %s", served.version, error)
