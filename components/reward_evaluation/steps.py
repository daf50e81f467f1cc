"""The step of the judge's evaluation: a judge and baselines on the same held-out edits."""

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.artifacts import ArtifactRef
from spatialreward.data.dataset import DatasetRef
from spatialreward.data.edits import LabelledEdit
from spatialreward.judges.interface import Judging
from spatialreward.ops.config import JudgeEvaluationStep
from spatialreward.ops.logged_models import log_model_figures
from spatialreward.ops.step import Outputs, Step, run_step
from spatialreward.protocol.prompts import TINY
from spatialreward.records import Judgement
from spatialreward.world.shipped import SHIPPED_BASE

if TYPE_CHECKING:
    from spatialreward.judges.engines.engine import Judge


def evaluate_judge(
    config: JudgeEvaluationStep, judge: str, heldout: str, parent_run_id: str
) -> str:
    """Measure a judge; returns its report's reference and figures by judge as JSON.

    Figures are those of ``judge`` and, unless it is measured alone, of the baselines.
    """

    def work(step: Step) -> Outputs:
        from spatialreward.benchmarks.judge import (
            Known,
            judge_edits,
            judge_figures,
            mean_reward_by_grade,
        )
        from spatialreward.benchmarks.report import judge_report, store_report
        from spatialreward.judges.modes import load_local
        from spatialreward.judges.pixels import PixelDifference

        data = DatasetRef(place=step.fetch("heldout")).open()
        truths, grades, tasks = Known.of(data)
        checkpoint = step.fetch("judge")
        judgings: dict[str, Judging] = {"judge": load_local(checkpoint)}
        if not config.alone:
            judgings["pixel_difference"] = PixelDifference()
            if config.untrained_seed is not None:
                folder = step.new_folder("untrained")
                judgings["untrained_judge"] = _untrained(config.untrained_seed, config, folder)
            if config.shipped_base:
                judgings["base_judge"] = load_local(SHIPPED_BASE)
        opinions = {name: judge_edits(one, data) for name, one in judgings.items()}
        if not config.alone:
            shown = itertools.islice(data, config.num_sheet_rows)
            _show(step, shown, opinions["judge"], truths)
        by_grade = mean_reward_by_grade(grades, opinions["judge"])
        step.tracker.log_metrics(
            {f"reward_by_grade/{grade}": reward for grade, reward in by_grade.items()}
        )
        figures = {
            name: judge_figures(truths, judgements, tasks).measured()
            for name, judgements in opinions.items()
        }
        report = judge_report(
            checkpoint,
            ArtifactRef.parse(judge).sha256,
            DatasetRef.parse(heldout),
            config.model_dump(mode="json"),
            figures["judge"],
        )
        log_model_figures(
            step.tracker,
            "judge",
            ArtifactRef.parse(judge),
            figures["judge"],
            data=("heldout", ArtifactRef.parse(heldout).sha256),
        )
        return figures | {"report": str(store_report(step.store, report))}

    outputs = run_step(
        "evaluate-judge",
        config,
        {"judge": judge, "heldout": heldout},
        work,
        parent_run_id=parent_run_id,
        data_sets={"heldout": "evaluation"},
    )
    return json.dumps(outputs, sort_keys=True)


def _untrained(seed: int, config: JudgeEvaluationStep, folder: Path) -> "Judge":
    """A judge of random weights, loaded as the judge beside it is: on the same device."""
    from spatialreward.judges.engines.engine import Judge
    from spatialreward.judges.qwen_vl import checkpoint
    from spatialreward.world.untrained_judge import untrained_tiny

    model, processor = untrained_tiny(seed, config.world)
    checkpoint.save(folder, model, processor, {"notice": "random weights"}, TINY)
    return Judge.load(folder)


def _show(
    step: Step,
    edits: Iterable[LabelledEdit],
    judgements: Sequence[Judgement],
    truths: Sequence[Judgement],
) -> None:
    from spatialreward.visuals import SheetRow, sample_sheet

    rows = [
        SheetRow(edit.source_images()[0], edit.edited_image(), edit.instruction, judgement, truth)
        for edit, judgement, truth in zip(edits, judgements, truths, strict=False)
    ]
    step.tracker.log_image(sample_sheet(rows), "samples/judge.png")
