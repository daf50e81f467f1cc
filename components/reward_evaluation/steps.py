"""The step of the judge's evaluation: a judge and baselines on the same held-out edits."""

import itertools
import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.artifacts import ArtifactRef
from spatialreward.data.dataset import DatasetRef
from spatialreward.data.edits import LabelledEdit
from spatialreward.errors import InvalidInputError
from spatialreward.judges.pixels import PixelDifference
from spatialreward.ops.config import JudgeEvaluationStep
from spatialreward.ops.logged_models import log_model_figures
from spatialreward.ops.step import Outputs, Step, run_step
from spatialreward.protocol.prompts import TINY
from spatialreward.records import Judgement
from spatialreward.world.shipped import SHIPPED_BASE

if TYPE_CHECKING:
    from spatialreward.benchmarks.evaluation import Contestant
    from spatialreward.judges.engines.engine import Judge


def evaluate_judge(
    config: JudgeEvaluationStep, judge: str, heldout: str, parent_run_id: str
) -> str:
    """Measure a judge; returns its report's reference and figures by judge as JSON.

    Figures are those of ``judge`` and, unless it is measured alone, of the baselines.
    """

    def work(step: Step) -> Outputs:
        from spatialreward.benchmarks.evaluation import evaluate_judges, evidence_of
        from spatialreward.benchmarks.judge import mean_reward_by_grade, problem_with
        from spatialreward.benchmarks.labelled import LabelledEdits
        from spatialreward.benchmarks.page import write_report
        from spatialreward.benchmarks.report import judge_report, store_report
        from spatialreward.ops.evaluation import log_evaluation

        data = DatasetRef(place=step.fetch("heldout")).open()
        world = LabelledEdits.of(data)
        checkpoint = step.fetch("judge")
        folder = step.new_folder("evaluation")
        evaluated = evaluate_judges([world], _contestants(config, checkpoint, step), folder)
        if lacking := evaluated.report.missing:
            raise InvalidInputError(f"{lacking[0].judge}: {lacking[0].reason}")
        log_evaluation(step.tracker, evaluated.report, write_report(evaluated.report, folder))
        judgements = {name: run.judgements for (name, _), run in evaluated.runs.items()}
        ordered = world.in_order(judgements["judge"])
        truths = list(world.truths.values())
        if not config.alone:
            labelled = (edit for edit in data if not problem_with(edit.label))
            _show(step, itertools.islice(labelled, config.num_sheet_rows), ordered, truths)
        by_grade = mean_reward_by_grade(list(world.grades.values()), ordered)
        step.tracker.log_metrics(
            {f"reward_by_grade/{grade}": reward for grade, reward in by_grade.items()}
        )
        figures = {name: world.figures(one).measured() for name, one in judgements.items()}
        report = judge_report(
            checkpoint,
            ArtifactRef.parse(judge).sha256,
            DatasetRef.parse(heldout),
            config.model_dump(mode="json"),
            figures["judge"],
            [evidence_of(world, evaluated.runs["judge", world.name])],
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


def _contestants(config: JudgeEvaluationStep, checkpoint: Path, step: Step) -> list["Contestant"]:
    """The judge and, unless it is measured alone, the baselines."""
    from spatialreward.benchmarks.evaluation import Contestant
    from spatialreward.benchmarks.results import Role
    from spatialreward.judges.modes import load_local

    found = [Contestant("judge", partial(load_local, checkpoint))]
    if config.alone:
        return found
    found.append(Contestant("pixel_difference", PixelDifference, Role.BASELINE))
    if config.untrained_seed is not None:
        folder = step.new_folder("untrained")
        opening = partial(_untrained, config.untrained_seed, config, folder)
        found.append(Contestant("untrained_judge", opening, Role.BASELINE))
    if config.shipped_base:
        found.append(Contestant("base_judge", partial(load_local, SHIPPED_BASE), Role.BASE))
    return found


def _untrained(seed: int, config: JudgeEvaluationStep, folder: Path) -> "Judge":
    """A judge with random weights, loaded like the trained judge: on the same device."""
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
