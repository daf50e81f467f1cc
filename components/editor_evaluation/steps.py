"""The steps after RL: is the editor better than before, and if so, make it the champion."""

import json
import logging
import math

from spatialreward.artifacts import ArtifactRef, DocumentRef
from spatialreward.benchmarks.gate import GateError
from spatialreward.benchmarks.report import load_report
from spatialreward.client import TritonJudge
from spatialreward.ops.config import EditorEvaluationStep, EditorRegistrationStep
from spatialreward.ops.logged_models import log_model_figures
from spatialreward.ops.promotion import promote
from spatialreward.ops.registry import register_candidate
from spatialreward.ops.step import Outputs, Step, run_step

logger = logging.getLogger(__name__)


def compare_editors(
    config: EditorEvaluationStep, before: str, after: str, served: str, parent_run_id: str
) -> str:
    """Compare an editor before and after RL; returns figures and report's reference as JSON.

    Raises:
        ServingError: the judge could not be asked.
    """
    judging = TritonJudge.from_environment()

    def work(step: Step) -> Outputs:
        from spatialreward.benchmarks.report import editor_report, store_report
        from spatialreward.visuals import sample_sheet
        from spatialreward.world import editor_evaluation
        from spatialreward.world.agreement import agreement_figures, draw_groups

        compared = editor_evaluation.compare_editors(
            step.fetch("before"), step.fetch("after"), config.world, config.evaluation, judging
        )
        for name, rows in (("before", compared.rows_before), ("after", compared.rows_after)):
            step.tracker.log_image(sample_sheet(rows), f"samples/editor_{name}.png")
        # JSON knows no NaN: a reward that there is none of is left out.
        measured = compared.figures._asdict().items()
        figures = {name: value for name, value in measured if math.isfinite(value)}
        report = editor_report(
            ArtifactRef.parse(after).sha256,
            {"before": before, "served": served},
            config.model_dump(mode="json"),
            figures,
        )
        groups = draw_groups(step.fetch("before"), config.world, config.evaluation)
        agreement = agreement_figures(groups, judging)._asdict()
        known = {name: tau for name, tau in agreement.items() if math.isfinite(tau)}
        log_model_figures(step.tracker, "editor", ArtifactRef.parse(after), figures)
        step.tracker.log_metrics({f"agreement/{name}": tau for name, tau in known.items()})
        return {
            "editor": figures,
            "agreement": known,
            "report": str(store_report(step.store, report)),
        }

    outputs = run_step(
        "compare-editors",
        config,
        {"before": before, "after": after, "served": served},
        work,
        parent_run_id=parent_run_id,
    )
    return json.dumps(outputs, sort_keys=True)


def register_editor(
    config: EditorRegistrationStep, editor: str, evaluation: str, parent_run_id: str
) -> str:
    """Register an editor; returns ``models:/NAME/VERSION``.

    It becomes the champion when it passes its gate: when its gain is no chance.
    """
    report = DocumentRef.parse(json.loads(evaluation)["report"])

    def work(step: Step) -> Outputs:
        model = register_candidate(
            config.name,
            ArtifactRef.parse(editor),
            step.tracker.run_id or "",
            report,
            load_report(step.store, str(report)).figures,
        )
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
