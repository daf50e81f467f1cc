"""The step of the judge's training, from whatever base its settings name.

It is done in one process, or by all processes that ``torchrun`` has started: then the first one is
the step, with its run, its marker and its checkpoint, and the others help it.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.data.dataset import Dataset, DatasetRef
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.qwen_vl.folder import CARD_FILE
from spatialreward.ops.config import (
    FolderBase,
    GroundingBase,
    HubBase,
    JudgeTrainingStep,
    ShippedBase,
)
from spatialreward.ops.step import Outputs, Step, run_step, work_dir
from spatialreward.world.shipped import SHIPPED_BASE

if TYPE_CHECKING:
    from spatialreward.training.judge import Start
    from spatialreward.training.loop import ReportMetrics
    from spatialreward.training.ranks import Ranks

STEP = "train-judge"


def train_judge(config: JudgeTrainingStep, data: str, parent_run_id: str, drawn: str = "") -> str:
    """Train a judge on a data set; returns the checkpoint's reference, empty in a helper.

    Where an earlier checkpoint is kept, its reference follows after a space. ``drawn`` is the data
    set of drawn edits, where the settings have a share of them.
    """
    from spatialreward.training.ranks import joined

    inputs = inputs_of(config, data, drawn)
    with joined() as ranks:
        if not ranks.is_first:
            _help(config, inputs, ranks)
            return ""
        done = _as_a_step(config, inputs, parent_run_id, ranks)
    return references(done)


def references(done: Outputs) -> str:
    """The checkpoints that a finished training has made, as ``train_judge`` returns them."""
    return " ".join(str(done[name]) for name in ("judge", "earlier") if name in done)


def inputs_of(config: JudgeTrainingStep, data: str, drawn: str = "") -> dict[str, str]:
    """What the result follows from beside the settings.

    Raises:
        InvalidInputError: the base is not here, or cannot be trained here.
    """
    inputs = {"data": data, **({"drawn": drawn} if drawn else {})}
    if not isinstance(config.base, GroundingBase):
        # Other weights in the same place are another base.
        inputs["base"] = digest_folder(find_base(config.base))
    return inputs


def _as_a_step(
    config: JudgeTrainingStep, inputs: Mapping[str, str], parent_run_id: str, ranks: "Ranks"
) -> Outputs:
    begun = False

    def work(step: Step) -> Outputs:
        nonlocal begun
        begun = ranks.from_first(True)
        checkpoint = step.new_folder("judge")
        # Not emptied: a training that was killed may have kept it already.
        earlier = step.folder / "earlier-judge"
        if ranks.world_size == 1:
            data = {name: DatasetRef(place=step.fetch(name)).open() for name in _data_sets(inputs)}
        else:
            data = _shared(inputs)
        _train(config, data, checkpoint, earlier, ranks, step.report, step.resume_file)
        step.tracker.log_file(checkpoint / CARD_FILE)
        kept = {"judge": step.keep_model(checkpoint, "judge")}
        if not config.training.earlier_step:
            return kept
        return kept | {"earlier": step.keep_model(earlier, "earlier-judge")}

    outputs = run_step(
        STEP,
        config,
        inputs,
        work,
        parent_run_id=parent_run_id,
        data_sets=dict.fromkeys(_data_sets(inputs), "training"),
    )
    if not begun:
        # It had been done before: nobody's help is needed.
        ranks.from_first(False)
    return outputs


def _data_sets(inputs: Mapping[str, str]) -> list[str]:
    """Names of the inputs that are data sets."""
    return [name for name in ("data", "drawn") if name in inputs]


def _help(config: JudgeTrainingStep, inputs: Mapping[str, str], ranks: "Ranks") -> None:
    if ranks.from_first(None):
        logging.getLogger("spatialreward.progress").setLevel(logging.WARNING)
        nowhere = work_dir() / "never-written"
        _train(config, _shared(inputs), nowhere, nowhere, ranks, lambda metrics, step: None, None)


def _train(
    config: JudgeTrainingStep,
    data: Mapping[str, Dataset],
    out: Path,
    earlier_out: Path,
    ranks: "Ranks",
    report: "ReportMetrics",
    resume_file: Path | None,
) -> None:
    from spatialreward.training import judge as training

    training.train_judge(
        lambda: _start(config, ranks, report, resume_file),
        config.training,
        data["data"],
        out,
        report,
        drawn=data.get("drawn"),
        earlier_out=earlier_out,
        resume_file=resume_file,
        ranks=ranks,
    )


def _shared(inputs: Mapping[str, str]) -> dict[str, Dataset]:
    """Data sets that all processes of this node read, brought here by the first one of them."""
    shared = work_dir() / "shared"
    return {name: DatasetRef.parse(inputs[name]).open(shared) for name in _data_sets(inputs)}


def _start(
    config: JudgeTrainingStep, ranks: "Ranks", report: "ReportMetrics", resume_file: Path | None
) -> "Start":
    from spatialreward.training.judge import start_from
    from spatialreward.world.grounding import start_from_noise

    if isinstance(config.base, GroundingBase):
        state = resume_file.with_suffix(".grounding.pt") if resume_file else None
        return start_from_noise(config.base.grounding, config.world, report, state, ranks)
    shipped = isinstance(config.base, ShippedBase)
    return start_from(find_base(config.base), "the shipped grounded base" if shipped else "")


def find_base(base: ShippedBase | FolderBase | HubBase) -> Path:
    """Folder of a base.

    Raises:
        InvalidInputError: it is not here, or cannot be trained here.
    """
    match base:
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
    return folder
