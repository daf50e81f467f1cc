"""Steps of the editor's training: pretrain or import one, then RL with the served judge's rewards.

In between, a pretrained editor draws edits for the judge to learn from.
"""

import math
import shutil
from pathlib import Path
from typing import NamedTuple

from spatialreward.client import TritonJudge
from spatialreward.data.dataset import DatasetRef
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.hub import EDITOR, fetch_from_hub
from spatialreward.ops.config import (
    ArtifactBase,
    EditDrawingStep,
    EditorImportStep,
    EditorPretrainingStep,
    EditorRlStep,
    FolderBase,
)
from spatialreward.ops.step import Outputs, Step, run_step
from spatialreward.ops.training_step import Given, TrainingStep
from spatialreward.rl.config import RlConfig

FINETUNING_STEP = "finetune-editor"
_EDITOR = "editor"
_PURPOSES = {"data": "training", "heldout": "watching"}


class TaskData(NamedTuple):
    """Data sets of the pipeline with an editor's tasks, used if its settings name none."""

    data: str = ""
    """Reference; empty: none."""
    heldout: str = ""
    """For the training's watch."""

    def given(self) -> dict[str, str]:
        """The given ones, by name."""
        return {name: one for name, one in self._asdict().items() if one}

    def over(self, rl: RlConfig) -> RlConfig:
        """Settings with these data sets filled in."""
        if self.data:
            rl = rl.model_copy(update={"prompts": self.data})
        if self.heldout:
            watch = rl.watch.model_copy(update={"prompts": self.heldout})
            rl = rl.model_copy(update={"watch": watch})
        return rl


def pretrain_editor(config: EditorPretrainingStep, data: str, parent_run_id: str) -> str:
    """Pretrain the tiny editor for RL; returns its reference."""

    def work(step: Step) -> Outputs:
        from spatialreward.world import editor_pretraining

        checkpoint = step.new_folder("editor")
        data = DatasetRef(place=step.fetch("data")).open()
        editor_pretraining.pretrain_editor(
            config.editor.pretraining, data, checkpoint, step.report, resume_file=step.resume_file
        )
        return {"editor": step.keep_model(checkpoint, "editor")}

    outputs = run_step(
        "pretrain-editor",
        config,
        {"data": data},
        work,
        parent_run_id=parent_run_id,
        data_sets={"data": "training"},
    )
    return str(outputs["editor"])


def import_editor(config: EditorImportStep, parent_run_id: str) -> str:
    """Import an editor with published weights into the object store; returns its reference.

    Loads it like RL first, so that a missing or foreign component is reported here.

    Raises:
        InvalidInputError: the editor is missing or incomplete, or its settings do not fit it.
        HubError: the hub is unreachable, or refuses.
    """
    base = config.editor.base
    if isinstance(base, ArtifactBase):
        inputs = {"editor": base.reference}
    else:
        found = (
            base.folder if isinstance(base, FolderBase) else fetch_from_hub(base.reference, EDITOR)
        )
        if not found.is_dir():
            raise InvalidInputError(f"editor {found}: there is no such folder")
        # The content of a folder may change under one path.
        inputs = {"editor": digest_folder(found)}

    def work(step: Step) -> Outputs:
        from spatialreward.editors.adapters import AdaptedEditor
        from spatialreward.editors.load import open_policy
        from spatialreward.editors.lora_files import lora_path

        folder = step.fetch("editor") if isinstance(base, ArtifactBase) else found
        if lora_path(folder) is not None:
            raise InvalidInputError(
                f"editor {config.editor.name}: holds a LoRA alone, expected a whole editor"
            )
        if not isinstance(open_policy(folder, config.editor.adaptation), AdaptedEditor):
            raise InvalidInputError(
                f"editor {config.editor.name}: holds the tiny editor, expected a published one"
            )
        if isinstance(base, ArtifactBase):
            return {"editor": base.reference}
        return {"editor": step.keep_model(folder, "editor")}

    outputs = run_step("import-editor", config, inputs, work, parent_run_id=parent_run_id)
    return str(outputs["editor"])


def draw_edits(config: EditDrawingStep, editor: str, parent_run_id: str) -> str:
    """Draw edits with a pretrained editor and its stages; returns the data set's reference.

    Raises:
        InvalidInputError: there is no such editor, or a photo of the world is unreadable.
    """
    # The pictures in a folder may change under one path.
    photos = config.world.photos
    inputs = {"editor": editor} | ({"photos": digest_folder(Path(photos))} if photos else {})

    def work(step: Step) -> Outputs:
        from spatialreward.world.drawn_edits import draw_data_set
        from spatialreward.world.editor_pretraining import stages_of

        folder = step.new_folder("edits")
        checkpoints = stages_of(step.fetch("editor"))
        count = draw_data_set(config.drawing, config.world, checkpoints, folder)
        sizes = {"data/num_edits": count, "data/num_stages": len(checkpoints)}
        return {"edits": step.keep(folder), **sizes}

    outputs = run_step("draw-edits", config, inputs, work, parent_run_id=parent_run_id)
    return str(outputs["edits"])


def finetune_editor(
    config: EditorRlStep, editor: str, served: str, parent_run_id: str, tasks: TaskData
) -> str:
    """Fine-tune an editor; returns its reference, empty in a worker process.

    Args:
        config: settings of the training.
        editor: reference of the initial editor.
        served: reference of the served judge, which affects the result through its rewards.
        parent_run_id: the pipeline's run.
        tasks: data sets that provide source pictures and instructions.

    Raises:
        InvalidInputError: the prompts are not a data set, or cannot be divided among the processes.
        RewardError: the judge failed on too many edits of a step, or is unavailable for too long.
        ProcessesError: one of the training processes on this machine failed.
    """
    return reference(finetuning_step(config, editor, served, tasks).run(parent_run_id))


def finetuning_step(
    config: EditorRlStep, editor: str, served: str, tasks: TaskData
) -> TrainingStep:
    """The step ``finetune-editor``, for one process, several, or several nodes.

    Raises:
        InvalidInputError: the prompts are not a data set.
    """
    from spatialreward.rl.prompts import digest_of

    rl, given = tasks.over(config.rl), tasks.given()
    inputs = {"editor": editor, "served": served, **given}
    named = {"prompts": rl.prompts, "watched": rl.watch.prompts}
    for name, prompts in named.items():
        digest = digest_of(prompts) if prompts else None
        if digest is not None:
            # The content of a folder may change under one path.
            inputs[name] = digest
    lineage = {
        "base": config.base_name or editor,
        "judge": served,
        **{name: prompts for name, prompts in named.items() if prompts},
    }
    options = {"editor": editor, "served": served, **given}
    return TrainingStep(
        name=FINETUNING_STEP,
        config=config,
        training=rl,
        inputs=inputs,
        data_sets={name: _PURPOSES[name] for name in given},
        checkpoints=["editor"],
        arguments=[part for name, value in options.items() for part in (f"--{name}", value)],
        package=__package__,
        train=lambda given: _finetune(config, rl, lineage, given),
        keep=lambda step: {"editor": step.keep_model(step.folder / _EDITOR, _EDITOR)},
    )


def reference(done: Outputs) -> str:
    """The editor of a finished training; empty in a worker process, which has none."""
    return str(done.get("editor", ""))


def _finetune(config: EditorRlStep, rl: RlConfig, lineage: dict[str, str], given: Given) -> None:
    from spatialreward.editors.load import open_policy
    from spatialreward.rl import training
    from spatialreward.rl.rewards import Rewards
    from spatialreward.rl.watch import watching
    from spatialreward.visuals.charts import reward_curve
    from spatialreward.world.prompts import open_prompts, open_watched

    checkpoint, cache = given.folder / _EDITOR, given.folder / "prompts"
    if given.processes.is_first:
        # Remains of an interrupted attempt.
        shutil.rmtree(checkpoint, ignore_errors=True)
    policy = open_policy(
        given.checkpoints["editor"], config.adaptation, seed=rl.seed, name=lineage["base"]
    )
    prompts = open_prompts(rl, config.world, cache)
    watched = open_watched(rl, config.world, cache)
    with (
        TritonJudge.from_environment() as judging,
        Rewards(rl.rewards, rl, judging) as reward,
        watching(rl, watched, reward, judging, given.show, given.processes) as watch,
    ):
        rewards = training.finetune_editor(
            rl,
            policy,
            checkpoint,
            reward,
            prompts,
            given.report,
            resume_file=given.folder / "state.pt",
            watch=watch,
            processes=given.processes,
            lineage=lineage,
        )
    if given.processes.is_first and any(map(math.isfinite, rewards)):
        curve = reward_curve({"served reward": rewards}, "Mean reward by the served judge")
        given.show(curve, "curves/served_reward.png")
