"""The step of the judge's training, from whatever base its settings name."""

from pathlib import Path
from typing import NamedTuple

from spatialreward.config import (
    FolderBase,
    GroundingBase,
    HubBase,
    JudgeBase,
    JudgeTrainingStep,
    ShippedBase,
)
from spatialreward.data.config import DataConfig
from spatialreward.errors import InvalidInputError
from spatialreward.judge.checkpoint import CARD_FILE, SHIPPED_BASE
from spatialreward.step import Outputs, Step, run_step
from spatialreward.storage import digest_folder
from spatialreward.training.config import GroundingConfig


class Start(NamedTuple):
    """What a training starts from; exactly one of the two."""

    folder: Path | None
    grounding: tuple[GroundingConfig, DataConfig] | None


def train_judge(config: JudgeTrainingStep, data: str, parent_run_id: str) -> str:
    """Train a judge on a data set; returns the checkpoint's reference."""
    start = find_start(config.base, config.world)
    inputs = {"data": data}
    if start.folder is not None:
        # Other weights in the same place are another base.
        inputs["base"] = digest_folder(start.folder)

    def work(step: Step) -> Outputs:
        from spatialreward.training import judge as training

        checkpoint = step.new_folder("judge")
        training.train_judge(
            config.training,
            step.fetch("data"),
            checkpoint,
            step.report,
            base=start.folder,
            grounding=start.grounding,
            resume_file=step.resume_file,
        )
        step.tracker.log_file(checkpoint / CARD_FILE)
        return {"judge": step.keep(checkpoint)}

    outputs = run_step(
        "train-judge",
        config,
        inputs,
        work,
        parent_run_id=parent_run_id,
        data_sets={"data": "training"},
    )
    return str(outputs["judge"])


def find_start(base: JudgeBase, world: DataConfig) -> Start:
    """Where a base is.

    Raises:
        InvalidInputError: it is not here, or cannot be trained here.
    """
    match base:
        case GroundingBase():
            return Start(None, (base.grounding, world))
        case ShippedBase():
            folder = SHIPPED_BASE
        case FolderBase():
            folder = base.folder
        case HubBase():
            raise InvalidInputError(
                f"judge base {base.repository}: public weights cannot be trained by this version"
            )
    if not (folder / "config.json").is_file():
        raise InvalidInputError(f"judge base {folder}: no checkpoint here, expected a config.json")
    return Start(folder, None)
