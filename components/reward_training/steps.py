"""The step of the judge's training, from whatever base its settings name.

It is done in one process, or by all processes that ``torchrun`` has started: then the first one is
the step, with its run, its marker and its checkpoint, and the others help it.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.data.dataset import Dataset, DatasetRef
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.folder_manifest import digest_folder
from spatialreward.hub import JUDGE, fetch_from_hub
from spatialreward.judges.qwen_vl.folder import CARD_FILE
from spatialreward.ops.config import (
    FolderBase,
    GroundingBase,
    HubBase,
    JudgeTrainingStep,
    ShippedBase,
)
from spatialreward.ops.step import (
    Outputs,
    Step,
    finished_step,
    run_step,
    step_key,
    work_dir,
)
from spatialreward.progress import ReportMetrics
from spatialreward.world.shipped import SHIPPED_BASE, SHIPPED_ORIGIN

if TYPE_CHECKING:
    from spatialreward.training.base import Base
    from spatialreward.training.processes import Processes

STEP = "train-judge"
_JUDGE, _EARLIER = "judge", "earlier-judge"
_FIRST_SPEAKS_S = 30.0
"""How long a helper that has failed leaves the first process to fail of the same."""


def train_judge(config: JudgeTrainingStep, data: str, parent_run_id: str, drawn: str = "") -> str:
    """Train a judge on a data set; returns the checkpoint's reference, empty in a helper.

    Where an earlier checkpoint is kept, its reference follows after a space. ``drawn`` is the data
    set of drawn edits, where the settings have a share of them.

    Raises:
        InvalidInputError: the base or the data is not there, or cannot be trained on.
        ProcessesError: one of the processes that this machine trains with failed.
    """
    from spatialreward.training.processes import joined, needs_start

    inputs = inputs_of(config, data, drawn)
    if needs_start(config.training):
        return references(_started(config, inputs, parent_run_id))
    with joined(config.training) as processes:
        if not processes.is_first:
            _help(config, inputs, processes)
            return ""
        done = _as_a_step(config, inputs, parent_run_id, processes)
    return references(done)


def _started(config: JudgeTrainingStep, inputs: Mapping[str, str], parent_run_id: str) -> Outputs:
    """The step, done by processes of this machine that ``torchrun`` starts."""
    from spatialreward.training.processes import ProcessesError, run_together

    arguments = [STEP, "--config", config.model_dump_json(), "--data", inputs["data"]]
    arguments += ["--drawn", inputs["drawn"]] if "drawn" in inputs else []
    arguments += ["--parent-run-id", parent_run_id]
    # Before it starts: whoever edits the sources meanwhile does not change which step this is.
    key = step_key(STEP, config, inputs, __package__)
    run_together(config.training.processes, __package__, arguments)
    done = finished_step(STEP, key)
    if done is None:
        raise ProcessesError("the training is over, but has left no checkpoint in the store")
    return done


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
    config: JudgeTrainingStep,
    inputs: Mapping[str, str],
    parent_run_id: str,
    processes: "Processes",
) -> Outputs:
    begun = False

    def work(step: Step) -> Outputs:
        nonlocal begun
        begun = processes.from_first(True)
        folder = processes.from_first(step.folder)
        if processes.world_size == 1:
            data = {name: DatasetRef(place=step.fetch(name)).open() for name in _data_sets(inputs)}
        else:
            data = _shared(inputs)
        _train(config, data, folder, processes, step.report)
        step.tracker.log_file(folder / _JUDGE / CARD_FILE)
        kept = {"judge": step.keep_model(folder / _JUDGE, _JUDGE)}
        if config.training.earlier_step:
            kept["earlier"] = step.keep_model(folder / _EARLIER, _EARLIER)
        return kept

    outputs = run_step(
        STEP,
        config,
        inputs,
        work,
        parent_run_id=parent_run_id,
        data_sets=dict.fromkeys(_data_sets(inputs), "training"),
    )
    if not begun:
        # It had been done before: no help is needed.
        processes.from_first(False)
    return outputs


def _data_sets(inputs: Mapping[str, str]) -> list[str]:
    """Names of the inputs that are data sets."""
    return [name for name in ("data", "drawn") if name in inputs]


def _help(config: JudgeTrainingStep, inputs: Mapping[str, str], processes: "Processes") -> None:
    if processes.from_first(None):
        logging.getLogger("spatialreward").setLevel(logging.WARNING)
        folder = processes.from_first(None)
        try:
            _train(config, _shared(inputs), folder, processes, lambda metrics, step: None)
        except SpatialRewardError:
            # What is wrong with the input is wrong for all, and the first process tells it and
            # records it. torchrun ends the others as soon as one has failed, so that one is first.
            time.sleep(_FIRST_SPEAKS_S)
            raise


def _train(
    config: JudgeTrainingStep,
    data: Mapping[str, Dataset],
    folder: Path,
    processes: "Processes",
    report: ReportMetrics,
) -> None:
    """Train in the step's folder, where an attempt that was killed finds what it kept.

    States of several nodes lie on the disk of each, since ZeRO divides them.
    """
    from spatialreward.training import sft

    sft.train_judge(
        _base(config, folder, processes, report),
        config.training,
        data["data"],
        folder / _JUDGE,
        report,
        drawn=data.get("drawn"),
        earlier_out=folder / _EARLIER,
        state_folder=folder / "states",
        processes=processes,
    )


def _shared(inputs: Mapping[str, str]) -> dict[str, Dataset]:
    """Data sets that all processes of this node read, brought here by the first one of them."""
    shared = work_dir() / "shared"
    return {name: DatasetRef.parse(inputs[name]).open(shared) for name in _data_sets(inputs)}


def _base(
    config: JudgeTrainingStep, folder: Path, processes: "Processes", report: ReportMetrics
) -> "Base":
    from spatialreward.training.base import Base
    from spatialreward.world.grounding import grounded_from_noise

    match config.base:
        case GroundingBase():
            return grounded_from_noise(
                config.base.grounding, config.world, report, folder / "grounded", processes
            )
        case ShippedBase():
            return Base(SHIPPED_BASE, SHIPPED_ORIGIN)
        case _:
            return Base(find_base(config.base))


def find_base(base: ShippedBase | FolderBase | HubBase) -> Path:
    """Folder of a base; one of the hub is fetched into its cache.

    Raises:
        InvalidInputError: it is not here, or the hub has none of this name.
        HubError: the hub does not hand it over.
    """
    match base:
        case ShippedBase():
            folder = SHIPPED_BASE
        case FolderBase():
            folder = base.folder
        case HubBase():
            folder = fetch_from_hub(f"hub:{base.repository}@{base.revision}", JUDGE)
    if not (folder / "config.json").is_file():
        raise InvalidInputError(f"judge base {folder}: no checkpoint here, expected a config.json")
    return folder
