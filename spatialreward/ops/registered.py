"""Measures a judge that is registered already, such as one that was registered by hand."""

import functools
import logging
from typing import NamedTuple

from spatialreward.artifacts import ArtifactRef, DocumentRef
from spatialreward.benchmarks.judge import JudgeFigures, measure_judge
from spatialreward.benchmarks.report import judge_report, store_report
from spatialreward.data.dataset import DatasetRef
from spatialreward.errors import InvalidInputError
from spatialreward.judges.load import load_judge
from spatialreward.ops.logged_models import log_model_figures
from spatialreward.ops.registry import (
    CHAMPION,
    aliases_of,
    bring_verified,
    look_up,
    report_of,
    set_evaluation,
)
from spatialreward.ops.tracking import open_run
from spatialreward.storage import ObjectStore

logger = logging.getLogger(__name__)

_STEP, _HELDOUT = "evaluate-judge", "heldout"
"""As in the pipeline, so that MLflow's page compares the figures."""


class MeasuredVersion(NamedTuple):
    """What was measured of a registered version, on what, and where the report is."""

    figures: JudgeFigures
    edits: DatasetRef
    report: DocumentRef


def evaluate_version(uri: str, edits: DatasetRef | None = None) -> MeasuredVersion:
    """Measure a registered judge on held-out edits and point its version at the report.

    In MLflow it is a run, and the figures are the logged model's, too.

    Args:
        uri: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; an alias is looked up once.
        edits: with labels, in a place that is named by checksum; by default those on which the
            champion was measured.

    Raises:
        InvalidInputError: there are no such edits, they are in a folder, which has no checksum, or
            the version's source is no artifact, or no judge.
        ReportError: no edits are given, and the champion's report cannot be believed.
        TrackingError: the registry does not answer, or has no such version.
        StorageError: the object store does not answer.
    """
    found = look_up(uri)
    model = found.model
    chosen = edits or _champions_edits(model.name)
    place = chosen.place
    if not isinstance(place, ArtifactRef):
        raise InvalidInputError(
            f"{chosen}: the report on {model.uri} names its edits by checksum; "
            "expected s3://...#sha256=..."
        )
    folder = bring_verified(found).folder
    data = chosen.open()
    logger.info("measuring %s on %d held-out edits", model.uri, len(data))
    with open_run(_STEP, tags={"model": model.uri}) as tracker:
        tracker.log_dataset(_HELDOUT, place.uri, place.sha256, "evaluation")
        figures = measure_judge(functools.partial(load_judge, folder), data)
        log_model_figures(
            tracker, "judge", found.artifact, figures.measured(), data=(_HELDOUT, place.sha256)
        )
    report = judge_report(folder, found.artifact.sha256, chosen, {}, figures.measured())
    reference = store_report(ObjectStore.from_environment(), report)
    set_evaluation(model, reference, report.figures)
    return MeasuredVersion(figures, chosen, reference)


def _champions_edits(name: str) -> DatasetRef:
    champion = aliases_of(name).get(CHAMPION)
    inputs = report_of(look_up(champion.uri)).inputs if champion else {}
    if "heldout" not in inputs:
        whose = f"{champion.uri} was measured on none" if champion else f"no version is {CHAMPION}"
        raise InvalidInputError(f"{name}: on which held-out edits? {whose}; pass --heldout")
    return DatasetRef.parse(inputs["heldout"])
