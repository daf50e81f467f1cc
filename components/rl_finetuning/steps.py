"""The steps that make an editor: pretraining, then RL with the served judge's rewards.

Between the two it draws edits that the judge learns from.
"""

import math
from pathlib import Path

from spatialreward.client import TritonJudge
from spatialreward.data.dataset import DatasetRef
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.config import (
    EditDrawingStep,
    EditorPretrainingStep,
    EditorRlStep,
    OmniGen2Config,
    TinyEditorConfig,
)
from spatialreward.ops.step import Outputs, Step, run_step


def pretrain_editor(config: EditorPretrainingStep, data: str, parent_run_id: str) -> str:
    """Make the editor that RL starts from; returns its reference.

    Raises:
        InvalidInputError: this version cannot train such an editor.
    """
    match config.editor:
        case TinyEditorConfig():
            settings = config.editor.pretraining
        case OmniGen2Config():
            raise InvalidInputError(
                f"editor {config.editor.repository}: cannot be trained by this version"
            )

    def work(step: Step) -> Outputs:
        from spatialreward.world import editor_pretraining

        checkpoint = step.new_folder("editor")
        data = DatasetRef(place=step.fetch("data")).open()
        editor_pretraining.pretrain_editor(
            settings, data, checkpoint, step.report, resume_file=step.resume_file
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


def draw_edits(config: EditDrawingStep, editor: str, parent_run_id: str) -> str:
    """Draw edits with a pretrained editor and its stages; returns the data set's reference.

    Raises:
        InvalidInputError: there is no such editor, or a photo of the world cannot be read.
    """
    # The pictures behind a path may change while the path stays.
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


def finetune_editor(config: EditorRlStep, editor: str, served: str, parent_run_id: str) -> str:
    """Fine-tune an editor; returns its reference.

    Args:
        config: how.
        editor: reference of the editor to start from.
        served: reference of the judge that is served, whose rewards the result follows from.
        parent_run_id: the pipeline's run.

    Raises:
        InvalidInputError: the prompts are no data set.
        RewardError: the judge failed on too many edits of a step, or is away for too long.
    """
    from spatialreward.rl.prompts import digest_of

    judging = TritonJudge.from_environment()
    inputs = {"editor": editor, "served": served}
    named = {"prompts": config.rl.prompts, "watched": config.rl.watch.prompts}
    for name, prompts in named.items():
        digest = digest_of(prompts) if prompts else None
        if digest is not None:
            # What lies in a folder may change while its path stays.
            inputs[name] = digest

    def work(step: Step) -> Outputs:
        from spatialreward.editors.load import load_editor
        from spatialreward.rl import training
        from spatialreward.rl.rewards import Rewards
        from spatialreward.rl.watch import watching
        from spatialreward.visuals import reward_curve
        from spatialreward.world.prompts import open_prompts, open_watched

        checkpoint = step.new_folder("editor")
        asked = open_prompts(config.rl, config.world, step.folder / "prompts")
        watched = open_watched(config.rl, config.world, step.folder / "prompts")
        with (
            Rewards(config.rl.rewards, config.rl, judging) as reward,
            watching(config.rl, watched, reward, judging, step.tracker.log_image) as watch,
        ):
            rewards = training.finetune_editor(
                config.rl,
                load_editor(step.fetch("editor")),
                checkpoint,
                reward,
                asked,
                step.report,
                resume_file=step.resume_file,
                watch=watch,
            )
        if any(map(math.isfinite, rewards)):
            curve = reward_curve({"served reward": rewards}, "Mean reward by the served judge")
            step.tracker.log_image(curve, "curves/served_reward.png")
        return {"editor": step.keep_model(checkpoint, "editor")}

    outputs = run_step(
        "finetune-editor",
        config,
        inputs,
        work,
        parent_run_id=parent_run_id,
    )
    return str(outputs["editor"])
