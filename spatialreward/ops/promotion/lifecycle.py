"""Promotes a version to champion, has the champion step down, and takes a promotion back.

The alias ``champion`` is what deployments follow, so it moves last; ``previous`` and the tags are
in place by then. A process that is killed in between leaves a champion that still is one.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from spatialreward.benchmarks.config import JudgeGate
from spatialreward.benchmarks.evidence import beside_champion, too_many_failures
from spatialreward.benchmarks.gate import Gate, GateError, check_gate
from spatialreward.benchmarks.report import EvaluationReport
from spatialreward.errors import SpatialRewardError
from spatialreward.ops.promotion import tags
from spatialreward.ops.promotion.aliases import Aliases, move_aliases
from spatialreward.ops.promotion.errors import PromotionError
from spatialreward.ops.registry import (
    CHAMPION,
    PREVIOUS,
    ModelVersion,
    aliases_of,
    look_up,
    model_tags,
    remove_version_tags,
    report_of,
    set_version_tags,
)
from spatialreward.ops.tracking import TrackingError
from spatialreward.storage import ObjectStore

logger = logging.getLogger(__name__)

_NO_SUCH_VERSION = "RESOURCE_DOES_NOT_EXIST"
"""What MLflow calls it."""


class Change(NamedTuple):
    """Who is champion after a call, and who was before."""

    champion: ModelVersion | None
    before: ModelVersion | None

    @property
    def happened(self) -> bool:
        """Whether the champion is another one now."""
        return self.champion != self.before


def promote(
    name: str,
    version: int,
    gate: Gate,
    *,
    by: str,
    reason: str,
    again: bool = False,
    seen: Aliases | None = None,
) -> Change:
    """Make a version that passes its gate the champion; the one before becomes ``previous``.

    What it is put to the gate with are the figures of its evaluation's report, and what is promoted
    is the checkpoint that the report is about: the registered files are fetched and compared. A
    judge is held against the champion by the values in both reports; the first one against the
    absolute bounds alone.

    Args:
        name: the registered model.
        version: who is promoted; the champion itself changes nothing.
        gate: what its figures must reach.
        by: who promotes.
        reason: why.
        again: whether a version may come back that stepped down, or that could not be served.
        seen: the aliases as the decision was based on them; by default as they are.

    Raises:
        GateError: it falls short; its tag ``gate`` says so, and nothing else was changed.
        ReportError: it or the champion has no evaluation report that can be believed, or one about
            another checkpoint.
        InvalidInputError: the version's source is no artifact, or two reports on the same version
            of a benchmark have other rows.
        PromotionError: it stepped down or could not be served and is not to come back, or the
            aliases have been moved meanwhile.
        TrackingError: the registry does not answer, or has no such version.
        StorageError: the object store does not answer, or does not have all files of the version.
    """
    found = look_up(ModelVersion(name, version).uri)
    model, told = found.model, found.tags
    report = report_of(found)
    aliases = aliases_of(name) if seen is None else seen
    before = aliases.get(CHAMPION)
    _put_to_gate(model, gate, report, None if before == model else before)
    if before == model:
        logger.info("%s is the champion already", model.uri)
        return Change(model, model)
    why_left = _why_left(told)
    if why_left and not again:
        raise PromotionError(
            f"{model.uri} {why_left}: it comes back when it is promoted by hand, with a reason"
        )
    ObjectStore.from_environment().check_folder(found.artifact)
    with _kept_on_failure(model, told):
        # What became of an earlier promotion is no news of this one.
        remove_version_tags(model, (*tags.SERVING_TAGS, *tags.DEMOTION_TAGS))
        set_version_tags(
            model,
            {
                tags.PROMOTED_BY: by,
                tags.PROMOTED_AT: tags.now(),
                tags.PROMOTED_REASON: tags.one_line(reason) or "none given",
                tags.PROMOTED_OVER: str(before.version) if before else "",
            },
        )
        move_aliases(name, {PREVIOUS: before, CHAMPION: model}, aliases)
    logger.info("%s is the champion, before: %s", model.uri, before.uri if before else "none")
    return Change(model, before)


def demote(name: str, *, by: str, reason: str, seen: Aliases | None = None) -> Change:
    """Have the champion step down; ``previous`` is champion again.

    ``previous`` then is who was champion before that one, so that a further call goes further back.

    Raises:
        PromotionError: there is no champion or no version to return to, or the aliases have been
            moved meanwhile.
        TrackingError: the registry does not answer.
    """
    aliases = aliases_of(name) if seen is None else seen
    champion, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
    if champion is None:
        raise PromotionError(f"{name}: there is no champion")
    if previous is None or previous == champion:
        raise PromotionError(
            f"{name}: no version is {PREVIOUS}, so there is none to return to; promote another"
        )
    told = model_tags(champion.uri)
    with _kept_on_failure(champion, told):
        set_version_tags(
            champion,
            {
                tags.DEMOTED_BY: by,
                tags.DEMOTED_AT: tags.now(),
                tags.DEMOTED_REASON: tags.one_line(reason) or "none given",
            },
        )
        further = _before(previous, champion)
        move_aliases(name, {PREVIOUS: further, CHAMPION: previous}, aliases)
    logger.info("%s is the champion again, after %s", previous.uri, champion.uri)
    return Change(previous, champion)


def reinstate(failed: ModelVersion, served: ModelVersion | None, reason: str) -> Change:
    """Take back the promotion of a version that could not be served.

    Args:
        failed: the version; its tag ``serving`` keeps the reason.
        served: who is served still, and is champion again; None: none, and there is no champion.
        reason: why it could not be served.

    Returns:
        Nothing has happened to the champion when another version has become it meanwhile; only
        ``previous`` does not name a version then that was never served.

    Raises:
        PromotionError: the aliases were moved at the same time; do it again.
        TrackingError: the registry does not answer.
    """
    note = {tags.SERVING: tags.FAILED + tags.one_line(reason), tags.SERVING_AT: tags.now()}
    set_version_tags(failed, note)
    aliases = aliases_of(failed.name)
    present = aliases.get(CHAMPION)
    if present != failed:
        if present is not None and aliases.get(PREVIOUS) == failed:
            move_aliases(failed.name, {PREVIOUS: _before(present, present)}, aliases)
        return Change(present, present)
    further = _before(served, failed) if served else None
    move_aliases(failed.name, {PREVIOUS: further, CHAMPION: served}, aliases)
    logger.warning(
        "%s could not be served, the champion is %s", failed.uri, served.uri if served else "none"
    )
    return Change(served, failed)


def _put_to_gate(
    model: ModelVersion, gate: Gate, report: EvaluationReport, champion: ModelVersion | None
) -> None:
    try:
        check_gate(gate, report.figures, _complaints(gate, report, champion))
    except GateError as error:
        set_version_tags(model, {tags.GATE: tags.one_line(f"failed: {error}")})
        raise GateError(f"{model.uri}: {error}") from error
    set_version_tags(model, {tags.GATE: "passed"})


def _complaints(
    gate: Gate, report: EvaluationReport, champion: ModelVersion | None
) -> Sequence[str]:
    """What stands against a judge beside its figures on held-out edits."""
    if not isinstance(gate, JudgeGate):
        return ()
    complaints = too_many_failures(gate, report.benchmarks)
    if champion is not None:
        theirs = report_of(look_up(champion.uri)).benchmarks
        rows = beside_champion(gate, report.benchmarks, theirs)
        complaints += [row.complaint for row in rows if row.complaint]
    return complaints


def _why_left(told: Mapping[str, str]) -> str:
    """Why a version is champion no more, by its tags; empty: it was not sent away."""
    serving = told.get(tags.SERVING, "")
    if serving.startswith(tags.FAILED):
        return f"could not be served ({serving.removeprefix(tags.FAILED)})"
    if tags.DEMOTED_AT in told:
        return f"stepped down ({told.get(tags.DEMOTED_REASON)}, {told[tags.DEMOTED_AT]})"
    return ""


def _before(model: ModelVersion, left: ModelVersion) -> ModelVersion | None:
    """The champion before a version; None: there was none, or it has just stepped down.

    Skip versions that failed to serve; they are no rollback targets.
    """
    passed, told = {model, left}, model_tags(model.uri)
    while (number := told.get(tags.PROMOTED_OVER, "")).isdigit():
        before = ModelVersion(model.name, int(number))
        found = None if before in passed else _tags_if_there(before)
        if found is None:
            return None
        if not found.get(tags.SERVING, "").startswith(tags.FAILED):
            return before
        passed.add(before)
        told = found
    return None


def _tags_if_there(model: ModelVersion) -> dict[str, str] | None:
    """The tags of a version; None: it has been deleted since."""
    from mlflow.exceptions import MlflowException

    try:
        return model_tags(model.uri)
    except TrackingError as error:
        cause = error.__cause__
        if isinstance(cause, MlflowException) and cause.error_code == _NO_SUCH_VERSION:
            return None
        raise


@contextmanager
def _kept_on_failure(model: ModelVersion, before: Mapping[str, str]) -> Iterator[None]:
    """Put a version's tags of promotion and serving back when a block fails."""
    try:
        yield
    except SpatialRewardError:
        ours = tags.OURS - {tags.GATE}
        try:
            remove_version_tags(model, ours - before.keys())
            set_version_tags(model, {tag: before[tag] for tag in ours & before.keys()})
        except TrackingError as error:
            logger.warning("%s: its tags could not be put back: %s", model.uri, error)
        raise
