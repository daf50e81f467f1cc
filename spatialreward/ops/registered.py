"""Measures a judge that is registered already, such as one that was registered by hand."""

import logging
import tempfile
from pathlib import Path

from spatialreward.artifacts import ArtifactRef
from spatialreward.benchmarks.judge import Known, judge_edits, judge_figures
from spatialreward.benchmarks.report import EvaluationReport, judge_report, store_report
from spatialreward.data.dataset import DatasetRef
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.engines.engine import Judge
from spatialreward.ops.registry import (
    CHAMPION,
    CHECKSUM_TAG,
    ModelVersion,
    aliases_of,
    look_up,
    report_of,
    resolve_model,
    set_evaluation,
    set_version_tags,
)
from spatialreward.storage import ObjectStore

logger = logging.getLogger(__name__)


def evaluate_version(model: ModelVersion, heldout: ArtifactRef | None = None) -> EvaluationReport:
    """Measure a registered judge on held-out edits and point its version at the report.

    The report is about the files as the registry has them now; a version that was registered
    without a checksum gets theirs.

    Args:
        model: the version.
        heldout: the edits; by default those on which the champion was measured.

    Raises:
        InvalidInputError: there are no such edits, or the registered files are not those of the
            version's checksum, or no judge.
        ReportError: no edits are given, and the champion's report cannot be believed.
        TrackingError: the registry does not answer, or has no such version.
        StorageError: the object store does not answer.
    """
    tags = look_up(model.uri).tags
    edits = heldout or _champions_edits(model.name)
    folder = resolve_model(model.uri)
    checksum = digest_folder(folder)
    if tags.get(CHECKSUM_TAG, checksum) != checksum:
        raise InvalidInputError(
            f"{model.uri} in {folder}: expected sha256 {tags[CHECKSUM_TAG]}, got {checksum}"
        )
    store = ObjectStore.from_environment()
    with tempfile.TemporaryDirectory(prefix="spatialreward-") as temporary:
        data = DatasetRef(place=edits).open(Path(temporary))
        known = Known.of(data)
        logger.info("measuring %s on %d held-out edits", model.uri, len(data))
        judgements = judge_edits(Judge.load(folder), data)
    figures = judge_figures(known.truths, judgements, known.tasks)
    report = judge_report(folder, checksum, edits, {}, figures.measured())
    reference = store_report(store, report)
    set_version_tags(model, {CHECKSUM_TAG: checksum})
    set_evaluation(model, reference, report.figures)
    return report


def _champions_edits(name: str) -> ArtifactRef:
    champion = aliases_of(name).get(CHAMPION)
    inputs = report_of(look_up(champion.uri)).inputs if champion else {}
    if "heldout" not in inputs:
        whose = f"{champion.uri} was measured on none" if champion else f"no version is {CHAMPION}"
        raise InvalidInputError(f"{name}: on which held-out edits? {whose}; pass --heldout")
    return ArtifactRef.parse(inputs["heldout"])
