"""Runs a rehearsal and counts what came of it."""

import time
from pathlib import Path
from typing import NamedTuple

from components.editor_evaluation.steps import compare_editors, register_editor
from components.reward_deployment.steps import deploy_judge
from components.rl_finetuning.steps import TaskData, finetune_editor, import_editor
from pipelines.full import num_steps
from pipelines.memory import watched_memory
from pipelines.parts import Part
from pipelines.profile import load_profile
from pipelines.report import Report
from pipelines.run import RunOptions, run_here
from pipelines.settings import Profile
from pipelines.steps import step_environment, variables
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.corpus.running import build_corpus
from spatialreward.figures import Figure
from spatialreward.ops.config import (
    EditorEvaluationStep,
    EditorImportStep,
    EditorRegistrationStep,
    EditorRlStep,
    FolderBase,
    JudgeRegistrationStep,
    PublishedEditor,
)
from spatialreward.stack import StackConfig, running_stack
from tests.data.teacher.teacher_server import TeacherServer
from tests.rehearsal.inputs import COLUMNS, make_models, often_wrong, write_edits

NAME = "rehearsal"
OTHERS = {
    "kontext": {"max_pixels": 96 * 96, "auto_resize": False, "max_sequence_length": 64},
    "qwen": {"num_pixels": 96 * 96, "num_text_pixels": 96 * 96},
}
"""Folders of the editors beside the profile's, and at which sizes they edit."""


class Size(NamedTuple):
    """How much is rehearsed."""

    num_edits: int = 24
    num_heldout: int = 10
    num_shards: int = 2
    num_steps: int = 160
    """Of teaching random weights to write."""
    num_samples: int = 64
    """Judgements that the pipeline trains on."""


def rehearse(
    folder: Path, stack: StackConfig, size: Size, real: Path | None, started_at: float
) -> list[Figure]:
    """Make what the profile reads, run its whole pipeline, and return the figures.

    Args:
        folder: new, for everything that is made.
        stack: of the services.
        size: how much.
        real: JSON Lines of real edits; None: all are generated.
        started_at: seconds since the epoch, from when on time counts.
    """
    folder = folder.absolute()
    with watched_memory() as before, TeacherServer().running() as teacher:
        teacher.plan, faults = often_wrong()
        write_edits(folder / "edits", size.num_edits, "train", real)
        write_edits(folder / "heldout-edits", size.num_heldout, "heldout")
        make_models(folder, size.num_steps)
        profile = _profile(folder, teacher.url, size)
        build_corpus(_heldout(profile, folder), folder / "heldout")
        given = {"heldout": str(folder / "heldout")}
        options = RunOptions(
            stack, rerun=True, started_at=started_at, out=folder, figures="pipeline"
        )
        report = run_here(profile, NAME, options, Part.FULL, given)
        others = fine_tune_others(folder, stack, profile, report)
    goals = profile.goals
    run = {figure.name: figure for figure in report.run}
    peak_gb = max(before.peak_bytes / 1e9, run["memory/peak_gb"].value)
    return [
        *_counted(report, num_steps(profile, Part.FULL), len(faults)),
        Figure.at_least("rehearsal/other_editors", len(others), len(OTHERS)),
        # No quality is asked for.
        *(figure for figure in report.judge if figure.name == "judge/unparsable_share"),
        Figure.at_most("time/total_s", time.time() - started_at, goals.max_total_s, unit="s"),
        Figure.at_most("memory/peak_gb", peak_gb, goals.max_peak_gb, unit="GB"),
    ]


def _profile(folder: Path, teacher: str, size: Size) -> Profile:
    corpus, training = "data.corpus", "judge.training"
    return load_profile(
        NAME,
        [
            f"{corpus}.source.folder={folder / 'edits'}",
            f"{corpus}.teacher.base_url={teacher}",
            f"{corpus}.num_shards={size.num_shards}",
            f"judge.base.folder={folder / 'base'}",
            f"editor.base.folder={folder / 'omnigen2'}",
            f"{training}.num_samples={size.num_samples}",
        ],
    )


def _heldout(profile: Profile, folder: Path) -> CorpusConfig:
    """Held-out edits are built as those for training are."""
    corpus = profile.data.corpus
    source = {"kind": "jsonl", "folder": str(folder / "heldout-edits"), "columns": COLUMNS}
    changed = {"name": "rehearsal-heldout", "source": source, "num_shards": 1}
    return CorpusConfig.model_validate(corpus.model_dump(mode="json") | changed)


def fine_tune_others(
    folder: Path, stack: StackConfig, profile: Profile, report: Report
) -> list[str]:
    """The editor's part with the classes of two more editors, on the services that a run has left.

    Its steps are called one by one here: a process for each would take longer than they do.

    Returns:
        The registered versions.
    """
    stored = {
        name: next(step.tags["output.data"] for step in report.steps if step.name == made)
        for name, made in (("data", "gather-edits"), ("heldout", "import-data"))
    }
    made = []
    with (
        running_stack(stack) as endpoints,
        variables(step_environment(endpoints, stack.state_dir)),
    ):
        served = deploy_judge(f"models:/{JudgeRegistrationStep().name}@champion", "")
        for name, settings in OTHERS.items():
            editor = PublishedEditor(
                base=FolderBase(folder=folder / name),
                settings=settings,
                precision="float32",
                lora=profile.editor.lora,
            )
            made.append(_fine_tune(editor, profile, served, TaskData(**stored)))
    return made


def _fine_tune(editor: PublishedEditor, profile: Profile, served: str, asked: TaskData) -> str:
    world, adaptation = profile.world, editor.adaptation
    before = import_editor(EditorImportStep(editor=editor), "")
    rl = EditorRlStep(rl=profile.rl, world=world, adaptation=adaptation, base_name=editor.name)
    after = finetune_editor(rl, before, served, "", asked)
    comparison = EditorEvaluationStep(
        evaluation=profile.editor_evaluation, world=world, adaptation=adaptation
    )
    compared = compare_editors(comparison, before, after, served, asked.heldout, "")
    return register_editor(EditorRegistrationStep(), after, compared, "")


def _counted(report: Report, num_tasks: int, num_faults: int) -> list[Figure]:
    """What was done, and whether each part went on from the one before it."""
    done = [step for step in report.steps if step.status == "FINISHED"]
    # Two tasks open and close the run, and have none of their own.
    wanted = num_tasks - 2
    by_name = {step.name: step for step in done}
    trained = by_name["tune-judge"].tags["output.judge"]
    served = by_name["deploy-judge"].tags["output.served"]
    rl = by_name["finetune-editor"].metrics
    return [
        Figure.at_least("rehearsal/steps_done", len(done), wanted),
        Figure.at_least("rehearsal/served_is_trained", float(served == trained), 1),
        Figure.at_most("rehearsal/unreadable_rewards", rl["reward/failed_share"], 0.5),
        Figure.at_least("rehearsal/teacher_faults", num_faults, 1),
    ]
