"""A step that trains: done in one process, or by all processes that ``torchrun`` has started.

Then the first one is the step, with its run, its marker and its checkpoint, and the others help it.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL.Image import Image

from spatialreward.artifacts import ArtifactRef
from spatialreward.data.dataset import Dataset, DatasetRef
from spatialreward.errors import SpatialRewardError
from spatialreward.ops.step import (
    Outputs,
    Step,
    fetch_input,
    finished_step,
    run_step,
    step_key,
    work_dir,
)
from spatialreward.progress import ReportMetrics
from spatialreward.records import Record
from spatialreward.storage import ObjectStore

if TYPE_CHECKING:
    from spatialreward.training.processes import Processes, Together

_FIRST_SPEAKS_S = 30.0
"""How long a helper that has failed leaves the first process to fail of the same."""


@dataclass(frozen=True)
class Given:
    """What a process trains with."""

    open_data: Callable[[str], Dataset]
    """Opens a data set of the inputs by its name; on several nodes each brings it to itself."""
    checkpoints: Mapping[str, Path]
    folder: Path
    """The step's, where an attempt that was killed finds what it kept. States of several nodes lie
    on the disk of each, since ZeRO divides them."""
    processes: "Processes"
    report: ReportMetrics
    show: Callable[[Image, str], None]
    """Gets a picture and its name in the run, such as ``curves/reward.png``; only the first
    process's are kept."""


@dataclass(frozen=True)
class TrainingStep:
    """One step, as every process that does it knows it."""

    name: str
    config: Record
    training: "Together"
    """Says how many processes train."""
    inputs: Mapping[str, str]
    data_sets: Mapping[str, str]
    """Inputs that are data sets, each with what it is for."""
    checkpoints: Sequence[str]
    """Names of the inputs that are checkpoints in the store."""
    arguments: Sequence[str]
    """Of the command that does the step, behind its name."""
    package: str
    """Whose command that is, and whose sources the result follows from."""
    train: Callable[[Given], None]
    keep: Callable[[Step], Outputs]
    """Stores what was trained; the first process does that."""

    @property
    def key(self) -> str:
        """Hash of everything that the result follows from."""
        return step_key(self.name, self.config, self.inputs, self.package)

    def command(self, parent_run_id: str) -> list[str]:
        """What each process gets behind the package, to do the step as one of several."""
        settings = ["--config", self.config.model_dump_json(), *self.arguments]
        return [self.name, *settings, "--parent-run-id", parent_run_id]

    def run(self, parent_run_id: str) -> Outputs:
        """Do the step, or find it done; a helper answers nothing.

        Raises:
            InvalidInputError: an input is not there, or cannot be trained on.
            ProcessesError: one of the processes that this machine trains with failed.
        """
        from spatialreward.training.processes import joined, needs_start

        if needs_start(self.training):
            return self._started(parent_run_id)
        with joined(self.training) as processes:
            if not processes.is_first:
                self._help(processes)
                return {}
            return self._as_a_step(parent_run_id, processes)

    def _started(self, parent_run_id: str) -> Outputs:
        """The step, done by processes of this machine that ``torchrun`` starts."""
        from spatialreward.training.processes import ProcessesError, run_together

        # Before it starts: an edit of the sources meanwhile does not change which step this is.
        key = self.key
        run_together(self.training.processes, self.package, self.command(parent_run_id))
        done = finished_step(self.name, key)
        if done is None:
            raise ProcessesError("the training is over, but has left no checkpoint in the store")
        return done

    def _as_a_step(self, parent_run_id: str, processes: "Processes") -> Outputs:
        begun = False

        def work(step: Step) -> Outputs:
            nonlocal begun
            begun = processes.from_first(True)
            folder = processes.from_first(step.folder)
            checkpoints = {name: step.fetch(name) for name in self.checkpoints}

            def open_data(name: str) -> Dataset:
                if processes.world_size > 1:
                    return self._shared(name)
                return DatasetRef(place=step.fetch(name)).open()

            show = step.tracker.log_image
            self.train(Given(open_data, checkpoints, folder, processes, step.report, show))
            return self.keep(step)

        outputs = run_step(
            self.name,
            self.config,
            self.inputs,
            work,
            parent_run_id=parent_run_id,
            data_sets=self.data_sets,
            package=self.package,
        )
        if not begun:
            # It had been done before: no help is needed.
            processes.from_first(False)
        return outputs

    def _help(self, processes: "Processes") -> None:
        if not processes.from_first(None):
            return
        logging.getLogger("spatialreward").setLevel(logging.WARNING)
        folder = processes.from_first(None)
        try:
            store = ObjectStore.from_environment()
            # On another node than the first one's they are not there yet.
            checkpoints = {
                name: fetch_input(store, ArtifactRef.parse(self.inputs[name]), folder, name)
                for name in self.checkpoints
            }
            self.train(
                Given(self._shared, checkpoints, folder, processes, _leave_aside, _leave_aside)
            )
        except SpatialRewardError:
            # What is wrong with the input is wrong for all, and the first process tells it and
            # records it. torchrun ends the others as soon as one has failed, so that one is first.
            time.sleep(_FIRST_SPEAKS_S)
            raise

    def _shared(self, name: str) -> Dataset:
        """A data set that all processes of this node read, brought here by the first of them."""
        return DatasetRef.parse(self.inputs[name]).open(work_dir() / "shared")


def _leave_aside(what: object, where: object) -> None:
    """A helper's metrics and pictures, which are the first process's to tell."""
