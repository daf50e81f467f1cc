"""The report of a judge that is registered already, such as one that was registered by hand."""

from collections.abc import Mapping, Sequence

from spatialreward.artifacts import DocumentRef
from spatialreward.benchmarks.evidence import BenchmarkEvidence
from spatialreward.benchmarks.report import judge_report, store_report
from spatialreward.data.dataset import DatasetRef
from spatialreward.errors import InvalidInputError
from spatialreward.ops.logged_models import log_model_figures
from spatialreward.ops.registry import (
    CHAMPION,
    Registered,
    aliases_of,
    bring_verified,
    look_up,
    report_of,
    set_evaluation,
)
from spatialreward.ops.tracking import Tracker
from spatialreward.storage import ObjectStore

_HELDOUT = "heldout"


def store_version_report(
    tracker: Tracker,
    found: Registered,
    edits: DatasetRef,
    figures: Mapping[str, float],
    benchmarks: Sequence[BenchmarkEvidence],
) -> DocumentRef:
    """Store what was measured of a registered judge, and point its version there.

    In MLflow the figures are the logged model's, too.

    Args:
        tracker: of the run that has measured.
        found: the version.
        edits: with labels, in a place that is named by checksum.
        figures: on these edits.
        benchmarks: what was reached on each, the labelled edits among them.

    Raises:
        InvalidInputError: the version's source is no artifact, or its files here were changed.
        TrackingError: the registry does not answer.
        StorageError: the object store does not answer.
    """
    folder, sha256 = bring_verified(found).folder, edits.place.sha256
    tracker.log_dataset(_HELDOUT, edits.place.uri, sha256, "evaluation")
    log_model_figures(tracker, "judge", found.artifact, figures, data=(_HELDOUT, sha256))
    report = judge_report(folder, found.artifact.sha256, edits, {}, dict(figures), benchmarks)
    reference = store_report(ObjectStore.from_environment(), report)
    set_evaluation(found.model, reference, report.figures)
    return reference


def champions_edits(name: str) -> DatasetRef:
    """The labelled edits on which a model's champion was measured.

    Raises:
        InvalidInputError: there is no champion, or it was measured on none.
        ReportError: the champion's report cannot be believed.
        TrackingError, StorageError: registry or object store does not answer.
    """
    champion = aliases_of(name).get(CHAMPION)
    inputs = report_of(look_up(champion.uri)).inputs if champion else {}
    if "heldout" not in inputs:
        whose = f"{champion.uri} was measured on none" if champion else f"no version is {CHAMPION}"
        raise InvalidInputError(
            f"{name}: on which held-out edits? {whose}; pass --benchmark world=DATASET"
        )
    return DatasetRef.parse(inputs["heldout"])
