"""Evaluation reports, the trusted evidence for a promotion.

Anyone who reaches MLflow can write a registry's tags. So figures are trusted only from a JSON
object that the evaluation wrote with the object store's keys. Its name is its checksum, and it
identifies the measured checkpoint by checksum.

MLflow's server has such keys and writes files for anyone: in its own bucket anywhere, and in any
other below ``RUN_ID/artifacts/`` of a prefix of their choice. So a report is trusted only directly
below one prefix.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, FiniteFloat, ValidationError, field_validator

from spatialreward.artifacts import DocumentRef
from spatialreward.benchmarks.evidence import BenchmarkEvidence
from spatialreward.benchmarks.gate import RANGES, outside_range
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.figures import commit, versions
from spatialreward.folder_manifest import digest_file
from spatialreward.protocol.choice import protocol_of
from spatialreward.protocol.prompts import PROTOCOL_FILE
from spatialreward.records import Record
from spatialreward.storage import BUCKET, ObjectStore

if TYPE_CHECKING:
    from spatialreward.data.dataset import DatasetRef

REPORTS = f"s3://{BUCKET}/evaluations"
"""Reports are trusted only directly below it."""


class ReportError(SpatialRewardError, ValueError):
    """There is no trusted evaluation report; the message gives the reason."""


class EvaluationReport(Record):
    """Figures of one checkpoint, with settings and data."""

    kind: Literal["judge", "editor"]
    checkpoint_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the measured checkpoint, as in its reference and the registry."""
    inputs: dict[str, str]
    """References, with checksums, of the inputs: ``heldout`` for a judge; ``before`` and ``served``
    for an editor, and ``heldout`` or ``prompts`` if a data set provided its tasks."""
    settings: dict[str, Any]
    """Of the evaluation; without a data set, an editor's held-out instructions follow from its
    ``world``."""
    protocol: str = ""
    """For a judge: the protocol file's name and checksum, ``NAME#sha256=HEX``."""
    commit: str
    """Of the code; empty outside a clone."""
    library: str
    """Version of the code."""
    figures: dict[str, FiniteFloat]
    """Each in its range (``benchmarks.gate``)."""
    benchmarks: tuple[BenchmarkEvidence, ...] = ()
    """For a judge: its results on each benchmark, by prompt."""

    @field_validator("figures")
    @classmethod
    def _are_figures(cls, figures: dict[str, float]) -> dict[str, float]:
        if unknown := figures.keys() - RANGES.keys():
            raise ValueError(f"{min(unknown)}: no such figure")
        if outside := "; ".join(filter(None, map(outside_range, figures, figures.values()))):
            raise ValueError(outside)
        return figures

    def figure(self, name: str) -> float | None:
        """A figure; None if not measured, 0 for a failure or repair that did not occur."""
        did_not_occur = 0.0 if "/" in name and "num_edits" in self.figures else None
        return self.figures.get(name, did_not_occur)


def judge_report(
    checkpoint: Path,
    sha256: str,
    heldout: "DatasetRef",
    settings: dict[str, Any],
    figures: dict[str, float],
    benchmarks: Sequence[BenchmarkEvidence],
) -> EvaluationReport:
    """The report on a judge's checkpoint in a folder.

    Args:
        checkpoint: the folder.
        sha256: of the checkpoint.
        heldout: the labelled edits behind ``figures``.
        settings: of the evaluation.
        figures: for the gate's bounds.
        benchmarks: the results on each, including the labelled edits.

    Raises:
        InvalidInputError: the folder's protocol is unreadable.
    """
    protocol = protocol_of(checkpoint)
    own = checkpoint / PROTOCOL_FILE
    if own.is_file():
        digest = digest_file(own)
    else:
        digest = hashlib.sha256(protocol.model_dump_json().encode()).hexdigest()
    return EvaluationReport(
        kind="judge",
        checkpoint_sha256=sha256,
        inputs={"heldout": str(heldout)},
        settings=settings,
        protocol=f"{protocol.name}#sha256={digest}",
        commit=commit(),
        library=versions().get("spatialreward", ""),
        figures=figures,
        benchmarks=tuple(benchmarks),
    )


def editor_report(
    sha256: str, inputs: dict[str, str], settings: dict[str, Any], figures: dict[str, float]
) -> EvaluationReport:
    """The report on an editor, compared with its predecessor."""
    return EvaluationReport(
        kind="editor",
        checkpoint_sha256=sha256,
        inputs=inputs,
        settings=settings,
        commit=commit(),
        library=versions().get("spatialreward", ""),
        figures=figures,
    )


def store_report(store: ObjectStore, report: EvaluationReport) -> DocumentRef:
    """Store a report; equal reports have equal references.

    Raises:
        StorageError: the store refused it.
    """
    store.ensure_bucket(BUCKET)
    content = report.model_dump_json(indent=2).encode() + b"\n"
    return store.put_content(content, REPORTS, ".json")


def load_report(store: ObjectStore, reference: str) -> EvaluationReport:
    """Read a report, if it is trusted.

    Args:
        store: the object store.
        reference: ``s3://...#sha256=HEX``, as in a version's tag.

    Raises:
        ReportError: the reference does not point at a report, it is missing or altered, or one of
            its figures is invalid.
        StorageError: the store is unreachable.
    """
    try:
        ref = DocumentRef.parse(reference)
    except InvalidInputError as error:
        raise ReportError(str(error)) from error
    if ref.uri != f"{REPORTS}/{ref.sha256}.json":
        raise ReportError(f"{ref.uri}: only reports at {REPORTS}/SHA256.json are believed")
    content = store.get_content(ref.uri)
    if content is None:
        raise ReportError(f"{ref.uri}: no such report in the object store")
    if (found := DocumentRef.of(ref.uri, content)) != ref:
        raise ReportError(f"{ref.uri}: was altered: expected {ref}, got {found}")
    try:
        return EvaluationReport.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ReportError(f"{ref.uri}: {field}: {first['msg']}") from error
