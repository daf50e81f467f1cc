"""Moves a model's aliases together.

MLflow moves one alias a request. So they are moved in an order in which every state in between is
harmless, what was moved is put back when a later one does not move, and nothing is moved that
was moved since it was looked at.
"""

import logging
from collections.abc import Mapping

from spatialreward.ops.promotion.errors import PromotionError
from spatialreward.ops.registry import ModelVersion, aliases_of, remove_alias, set_alias
from spatialreward.ops.tracking import TrackingError

logger = logging.getLogger(__name__)

Aliases = Mapping[str, ModelVersion]


def move_aliases(
    name: str, targets: Mapping[str, ModelVersion | None], seen: Mapping[str, ModelVersion]
) -> None:
    """Point aliases at versions, all or none.

    Args:
        name: the registered model.
        targets: where each goes, in this order; None: at nothing. The one that others act upon
            comes last.
        seen: the aliases as the decision was based on them.

    Raises:
        PromotionError: one of them has been moved since; nothing was changed.
        TrackingError: the registry did not take it; what was moved has been put back, or the
            message says that it could not be.
    """
    present = aliases_of(name)
    for alias in targets:
        if present.get(alias) != seen.get(alias):
            raise PromotionError(
                f"{name}: {alias} was {_told(seen.get(alias))} and is {_told(present.get(alias))} "
                "now: it has been moved meanwhile, look again"
            )
    moved: list[str] = []
    try:
        for alias, target in targets.items():
            moved.append(alias)
            _point(name, alias, target)
    except TrackingError as error:
        left = _put_back(name, moved, present)
        more = f"; {', '.join(left)} could not be put back" if left else ""
        raise TrackingError(f"{error}{more}") from error


def _put_back(name: str, moved: list[str], before: Aliases) -> list[str]:
    """Undo what was moved, the last one first; returns the aliases with which that failed."""
    left = []
    for alias in reversed(moved):
        try:
            _point(name, alias, before.get(alias))
        except TrackingError as error:
            logger.warning("%s: alias %s could not be put back: %s", name, alias, error)
            left.append(alias)
    return left


def _point(name: str, alias: str, target: ModelVersion | None) -> None:
    if target is None:
        remove_alias(name, alias)
    else:
        set_alias(target, alias)


def _told(version: ModelVersion | None) -> str:
    return "no version" if version is None else f"version {version.version}"
