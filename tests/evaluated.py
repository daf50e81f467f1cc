"""Registered versions with evaluation reports, as a pipeline leaves them."""

import itertools

from spatialreward.artifacts import ArtifactRef, DocumentRef
from spatialreward.benchmarks.evidence import BenchmarkEvidence, PromptValues
from spatialreward.benchmarks.report import EvaluationReport, store_report
from spatialreward.ops.registry import ModelVersion, register_model, set_evaluation
from spatialreward.ops.tracking import open_run
from spatialreward.storage import BUCKET, ObjectStore

GOOD = {"pairwise_accuracy": 0.9, "mean_iou": 0.7, "unparsable_share": 0.0}


_REPORTS = itertools.count(1)


def make_evidence(value, *, prompts=4, **change) -> BenchmarkEvidence:
    """What a judge reached that is as good on every prompt of the main benchmark."""
    names = tuple(f"prompt {number}" for number in range(prompts))
    made = {
        "benchmark": "world",
        "digest": "1" * 64,
        "num_edits": 200,
        "num_failed": 0,
        "figures": {
            "pairwise_accuracy": PromptValues(prompts=names, values=(value,) * prompts),
        },
    }
    return BenchmarkEvidence(**made | change)


def make_report(sha256, figures, kind="judge") -> EvaluationReport:
    """A report on a checkpoint of this checksum; better than every one that was made before."""
    evidence = (make_evidence(next(_REPORTS) / 10_000),) if kind == "judge" else ()
    return EvaluationReport(
        kind=kind,
        checkpoint_sha256=sha256,
        inputs={"heldout": f"s3://spatialreward/artifacts/h#sha256={'1' * 64}"},
        settings={},
        commit="",
        library="0",
        figures=figures,
        benchmarks=evidence,
    )


def stored_report(sha256, figures, kind="judge") -> DocumentRef:
    """The reference of such a report, in the store of the environment."""
    return store_report(ObjectStore.from_environment(), make_report(sha256, figures, kind))


def stored_checkpoint(folder) -> ArtifactRef:
    """The reference of a folder, in the store of the environment."""
    store = ObjectStore.from_environment()
    store.ensure_bucket(BUCKET)
    return store.put_folder(folder, f"s3://{BUCKET}/artifacts/test")


def register_unevaluated(name, folder) -> ModelVersion:
    """Make a checkpoint the next version, as one does by hand: without a report."""
    with open_run("by hand") as tracker:
        return register_model(name, stored_checkpoint(folder), tracker.run_id)


def register_evaluated(name, folder, **change) -> ModelVersion:
    """Make a checkpoint the next version, with a report of good figures but for the change."""
    model, figures = register_unevaluated(name, folder), GOOD | change
    set_evaluation(model, stored_report(stored_checkpoint(folder).sha256, figures), figures)
    return model
