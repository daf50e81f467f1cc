"""One training of the comparison, in its own folder; resumes after a kill."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spatialreward.editors.load import load_editor
from spatialreward.folder_manifest import digest_folder
from spatialreward.records import Record
from spatialreward.rl.config import RlConfig
from spatialreward.rl.rewards import Rewards
from spatialreward.rl.run_folder import RunFolder
from spatialreward.rl.training import finetune_editor
from spatialreward.rl.watch import watching
from spatialreward.world.config import DataConfig
from spatialreward.world.prompts import FIRST_PROMPT, WorldPrompts, open_watched
from spatialreward.world.rl_claim.config import HeldOutConfig, RewardKind
from spatialreward.world.rl_claim.looking import Look, Looking

_TRAINED = "trained.json"
# Beyond the prompts that all trainings of one seed can reach.
_PROMPTS_OF_A_SEED = 1_000_000


class StepFigures(Record):
    """Figures from the steps of a training."""

    step_s: float
    """Median seconds a step."""
    judging_s: float
    """Median seconds a step in which its judge was busy."""
    kl: float
    """Divergence from the initial editor, in the last step."""
    failed_share: float
    """Among the edits of all steps, those that the judge failed on."""
    without_spread_share: float
    """Among the groups of all steps, those without advantages."""
    whole_picture_share: float | None
    """Among the groups of all steps, those whose advantages per region were the whole picture's;
    None without advantages per region."""


class Trained(Record):
    """One training."""

    kind: RewardKind
    seed: int
    looks: tuple[Look, ...]
    """From the initial editor of all trainings to the result."""
    told: StepFigures


class Job(NamedTuple):
    """Inputs of one training."""

    kind: RewardKind
    rl: RlConfig
    seed_number: int
    """Index of the seed: it has its own prompts."""
    world: DataConfig
    held_out: HeldOutConfig
    editor: Path
    folder: Path

    @property
    def trained(self) -> Trained | None:
        """Its result; None: unfinished."""
        path = self.folder / _TRAINED
        return Trained.model_validate_json(path.read_text()) if path.is_file() else None

    @property
    def steps_done(self) -> int:
        """Its progress, readable while another process writes."""
        if not self._metrics.is_file():
            return 0
        *whole, _ = self._metrics.read_text().split("\n")
        return json.loads(whole[-1])["step"] if whole else 0

    @property
    def _metrics(self) -> Path:
        return RunFolder(self.folder).metrics.path


def train(job: Job) -> Trained:
    """Fine-tune the editor; resumes a killed training in the same folder.

    Raises:
        InvalidInputError: the folder has other settings, another editor or judge.
        RewardError, JudgeChangedError, NotFiniteError, RatioError: as ``finetune_editor``.
    """
    if (trained := job.trained) is not None:
        return trained
    run = RunFolder.checked(job.folder)
    run.hold_to(_what_it_follows_from(job))
    first = FIRST_PROMPT + job.seed_number * _PROMPTS_OF_A_SEED
    with (
        Rewards(job.rl.rewards, job.rl) as reward,
        watching(job.rl, open_watched(job.rl, job.world), reward) as watch,
    ):
        looking = Looking(watch, job.world, job.held_out)
        finetune_editor(
            job.rl,
            load_editor(job.editor),
            run.unfinished_editor,
            reward,
            WorldPrompts(job.world, job.rl.num_prompts, first),
            run.metrics.report,
            resume_file=run.resume_file,
            watch=looking,
        )
    trained = Trained(
        kind=job.kind,
        seed=job.rl.seed,
        looks=tuple(looking.looks),
        told=_step_figures(run.metrics.lines()),
    )
    unfinished = job.folder / f"{_TRAINED}.partial"
    unfinished.write_text(trained.model_dump_json())
    unfinished.replace(job.folder / _TRAINED)
    run.finish(run.unfinished_editor)
    return trained


def _what_it_follows_from(job: Job) -> dict[str, Any]:
    judges = (*job.rl.rewards, *job.rl.evaluation_rewards)
    return {
        "rl": job.rl.model_dump(mode="json"),
        "world": job.world.model_dump(mode="json"),
        "held_out": job.held_out.model_dump(mode="json"),
        "prompts_of": job.seed_number,
        "editor": digest_folder(job.editor),
        "judges": {
            one.label: digest_folder(Path(one.judge)) for one in judges if Path(one.judge).is_dir()
        },
    }


def _step_figures(lines: Sequence[Mapping[str, Any]]) -> StepFigures:
    def of(name: str) -> list[float]:
        return [line[name] for line in lines if line.get(name) is not None]

    whole = of("regions/whole_picture_share")
    return StepFigures(
        step_s=float(np.median(of("time/step_s"))),
        judging_s=float(np.median(of("time/judging_s"))),
        kl=of("policy/kl")[-1],
        failed_share=float(np.mean(of("reward/failed_share"))),
        without_spread_share=float(np.mean(of("groups/without_spread_share"))),
        whole_picture_share=float(np.mean(whole)) if whole else None,
    )
