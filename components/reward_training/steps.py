"""Steps of the judge's training: from the configured base, and on rewards."""

from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.hub import JUDGE, fetch_from_hub
from spatialreward.judges.qwen_vl.folder import CARD_FILE
from spatialreward.ops.config import (
    FolderBase,
    GroundingBase,
    HubBase,
    JudgeTrainingStep,
    JudgeTuningStep,
    ShippedBase,
)
from spatialreward.ops.step import Outputs, Step
from spatialreward.ops.training_step import Given, TrainingStep
from spatialreward.world.shipped import SHIPPED_BASE, SHIPPED_ORIGIN

if TYPE_CHECKING:
    from spatialreward.training.base import Base

STEP, TUNING_STEP = "train-judge", "tune-judge"
_JUDGE, _EARLIER = "judge", "earlier-judge"


def train_judge(config: JudgeTrainingStep, data: str, parent_run_id: str, drawn: str = "") -> str:
    """Train a judge on a data set; returns the checkpoint's reference, empty in a worker process.

    If an earlier checkpoint is kept, its reference follows after a space. ``drawn`` is the data set
    of drawn edits, if the settings use a share of them.

    Raises:
        InvalidInputError: the base or the data is missing, or unusable for training.
        ProcessesError: one of the training processes on this machine failed.
    """
    return references(training_step(config, data, drawn).run(parent_run_id))


def training_step(config: JudgeTrainingStep, data: str, drawn: str = "") -> TrainingStep:
    """The step ``train-judge``, for one process, several, or several nodes.

    Raises:
        InvalidInputError: the base is missing, or unusable here.
    """

    def keep(step: Step) -> Outputs:
        kept = _keep(step)
        if config.training.earlier_step:
            kept["earlier"] = step.keep_model(step.folder / _EARLIER, _EARLIER)
        return kept

    given = {"data": data, **({"drawn": drawn} if drawn else {})}
    return TrainingStep(
        name=STEP,
        config=config,
        training=config.training,
        inputs=given | _weights_of(config),
        data_sets=dict.fromkeys(given, "training"),
        checkpoints=[],
        arguments=["--data", data, *(["--drawn", drawn] if drawn else [])],
        package=__package__,
        train=lambda given: _train(config, given, has_drawn=bool(drawn)),
        keep=keep,
    )


def tune_judge(config: JudgeTuningStep, judge: str, data: str, parent_run_id: str) -> str:
    """Train a judge by GRPO; returns the checkpoint's reference, empty in a worker process.

    Raises:
        InvalidInputError: the judge or the data is missing, or unusable for training; or a reward
            lacks its input.
        ProcessesError: one of the training processes on this machine failed.
        MaskedError, DivergenceError, ServerAway: as the training of ``training.grpo``.
    """
    step = TrainingStep(
        name=TUNING_STEP,
        config=config,
        training=config.grpo,
        inputs={"judge": judge, "data": data},
        data_sets={"data": "training"},
        checkpoints=["judge"],
        arguments=["--judge", judge, "--data", data],
        package=__package__,
        train=lambda given: _tune(config, given),
        keep=_keep,
    )
    return references(step.run(parent_run_id))


def references(done: Outputs) -> str:
    """The checkpoints of a finished training, in the form that ``train_judge`` returns."""
    return " ".join(str(done[name]) for name in ("judge", "earlier") if name in done)


def _weights_of(config: JudgeTrainingStep) -> dict[str, str]:
    """Digest of the base, if there is one: other weights in the same place are another base."""
    if isinstance(config.base, GroundingBase):
        return {}
    return {"base": digest_folder(find_base(config.base))}


def _keep(step: Step) -> Outputs:
    step.tracker.log_file(step.folder / _JUDGE / CARD_FILE)
    return {"judge": step.keep_model(step.folder / _JUDGE, _JUDGE)}


def _train(config: JudgeTrainingStep, given: Given, *, has_drawn: bool) -> None:
    from spatialreward.training import sft

    data = given.open_data("data")
    drawn = given.open_data("drawn") if has_drawn else None
    sft.train_judge(
        _base(config, given),
        config.training,
        data,
        given.folder / _JUDGE,
        given.report,
        drawn=drawn,
        earlier_out=given.folder / _EARLIER,
        state_folder=given.folder / "states",
        processes=given.processes,
    )


def _tune(config: JudgeTuningStep, given: Given) -> None:
    from spatialreward.training import grpo
    from spatialreward.training.base import Base

    grpo.tune_judge(
        Base(given.checkpoints["judge"], "the judge that train-judge has made"),
        config.grpo,
        given.open_data("data"),
        given.folder / _JUDGE,
        given.report,
        state_folder=given.folder / "states",
        processes=given.processes,
    )


def _base(config: JudgeTrainingStep, given: Given) -> "Base":
    from spatialreward.training.base import Base
    from spatialreward.world.grounding import grounded_from_noise

    match config.base:
        case GroundingBase():
            return grounded_from_noise(
                config.base.grounding,
                config.world,
                given.report,
                given.folder / "grounded",
                given.processes,
            )
        case ShippedBase():
            return Base(SHIPPED_BASE, SHIPPED_ORIGIN)
        case _:
            return Base(find_base(config.base))


def find_base(base: ShippedBase | FolderBase | HubBase) -> Path:
    """Folder of a base; downloads one from the hub into its cache.

    Raises:
        InvalidInputError: it is missing, or the hub has none of this name.
        HubError: the hub does not deliver it.
    """
    match base:
        case ShippedBase():
            folder = SHIPPED_BASE
        case FolderBase():
            folder = base.folder
        case HubBase():
            folder = fetch_from_hub(base.reference, JUDGE)
    if not (folder / "config.json").is_file():
        raise InvalidInputError(f"judge base {folder}: no checkpoint here, expected a config.json")
    return folder
