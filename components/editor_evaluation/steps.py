"""Steps after RL: compares the editor with its predecessor, and promotes it if it is better."""

import json
import logging
import math
from typing import TYPE_CHECKING

from spatialreward.artifacts import ArtifactRef, DocumentRef
from spatialreward.benchmarks.gate import GateError
from spatialreward.benchmarks.report import load_report
from spatialreward.client import TritonJudge
from spatialreward.ops.config import (
    EditorEvaluationStep,
    EditorRegistrationStep,
    JudgeRegistrationStep,
)
from spatialreward.ops.logged_models import log_model_figures
from spatialreward.ops.promotion import promote
from spatialreward.ops.registry import find_version, register_candidate, set_version_tags
from spatialreward.ops.step import Outputs, Step, run_step
from spatialreward.storage import ObjectStore

if TYPE_CHECKING:
    from spatialreward.world.agreement import AgreementFigures
    from spatialreward.world.editor_evaluation import EditorFigures

logger = logging.getLogger(__name__)
_CARD_FILE = "card.json"


def compare_editors(
    config: EditorEvaluationStep,
    before: str,
    after: str,
    served: str,
    heldout: str,
    parent_run_id: str,
) -> str:
    """Compare an editor before and after RL; returns figures and report's reference as JSON.

    Args:
        config: settings of the comparison.
        before: reference of one editor.
        after: reference of the other, or of a LoRA for the first one.
        served: reference of the served judge.
        heldout: reference of the data set with the tasks for both; empty: as in the settings.
        parent_run_id: the pipeline's run.

    Raises:
        InvalidInputError: an editor or the tasks are unreadable.
        ServingError: the judge is unreachable.
    """
    from spatialreward.rl.prompts import digest_of

    judging = TritonJudge.from_environment()
    evaluation = config.evaluation
    if heldout:
        evaluation = evaluation.model_copy(update={"prompts": heldout})
    inputs = {"before": before, "after": after, "served": served}
    if heldout:
        inputs["heldout"] = heldout
    elif evaluation.prompts and (digest := digest_of(evaluation.prompts)):
        inputs["prompts"] = digest

    def work(step: Step) -> Outputs:
        from spatialreward.benchmarks.report import editor_report, store_report
        from spatialreward.visuals import sample_sheet
        from spatialreward.world import editor_evaluation

        compared = editor_evaluation.compare_editors(
            step.fetch("before"),
            step.fetch("after"),
            config.world,
            evaluation,
            judging,
            config.adaptation,
            step.folder / "prompts",
        )
        for name, rows in (("before", compared.rows_before), ("after", compared.rows_after)):
            step.tracker.log_image(sample_sheet(rows), f"samples/editor_{name}.png")
        figures = _known(compared.figures)
        report = editor_report(
            ArtifactRef.parse(after).sha256,
            {name: one for name, one in inputs.items() if name != "after"},
            config.model_dump(mode="json"),
            figures,
        )
        agreement = {} if evaluation.prompts else _agreement(step, config, judging)
        log_model_figures(step.tracker, "editor", ArtifactRef.parse(after), figures)
        step.tracker.log_metrics({f"agreement/{name}": tau for name, tau in agreement.items()})
        return {
            "editor": figures,
            "agreement": agreement,
            "report": str(store_report(step.store, report)),
        }

    outputs = run_step(
        "compare-editors",
        config,
        inputs,
        work,
        parent_run_id=parent_run_id,
        data_sets={"heldout": "evaluation"} if heldout else None,
    )
    return json.dumps(outputs, sort_keys=True)


def _agreement(step: Step, config: EditorEvaluationStep, judging: TritonJudge) -> dict[str, float]:
    """The judge's agreement within groups of edits of known truth."""
    from spatialreward.world.agreement import agreement_figures, draw_groups

    groups = draw_groups(step.fetch("before"), config.world, config.evaluation)
    return _known(agreement_figures(groups, judging))


def _known(figures: "EditorFigures | AgreementFigures") -> dict[str, float]:
    """Drop missing figures, because JSON has no NaN."""
    return {name: value for name, value in figures._asdict().items() if math.isfinite(value)}


def register_editor(
    config: EditorRegistrationStep, editor: str, evaluation: str, parent_run_id: str
) -> str:
    """Register an editor; returns ``models:/NAME/VERSION``.

    It becomes the champion when it passes its gate, which requires a significant gain. Its tags
    record its inputs.
    """
    report = DocumentRef.parse(json.loads(evaluation)["report"])

    def work(step: Step) -> Outputs:
        ref = ArtifactRef.parse(editor)
        figures = load_report(step.store, str(report)).figures
        model = register_candidate(config.name, ref, step.tracker.run_id or "", report, figures)
        set_version_tags(model, _lineage(step.store, ref))
        try:
            promote(
                config.name,
                model.version,
                config.gate,
                by="pipeline",
                reason=f"passed its gate in run {parent_run_id or step.tracker.run_id}",
            )
        except GateError as error:
            logger.warning("%s is no champion: its gain may be chance: %s", model.uri, error)
        return {"model": model.uri}

    outputs = run_step(
        "register-editor",
        config,
        {"editor": editor, "evaluation": evaluation},
        work,
        parent_run_id=parent_run_id,
        reuse=False,
    )
    return str(outputs["model"])


def _lineage(store: ObjectStore, editor: ArtifactRef) -> dict[str, str]:
    """A checkpoint's inputs by its card, as tags; the judge by its version if known."""
    card = store.get_json(f"{editor.uri}/{_CARD_FILE}") or {}
    lineage = dict(card.get("lineage", {}))
    if "judge" in lineage:
        sha256 = ArtifactRef.parse(lineage["judge"]).sha256
        judge = find_version(JudgeRegistrationStep().name, sha256)
        lineage["judge"] = judge.uri if judge else lineage["judge"]
    return {f"lineage.{name}": one for name, one in lineage.items()}
