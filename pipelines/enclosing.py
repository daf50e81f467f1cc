"""What stands around the steps of every pipeline: their run in MLflow is opened, and closed.

The steps are a pipeline of their own inside of one that opens the run before them and closes it
after them, however they end. ``dsl.ExitHandler`` compiles to the same, but what is inside of it
cannot be the outer pipeline's output.
"""

from typing import NamedTuple

from kfp import dsl

from components.reward_deployment.component import close_run, open_run
from pipelines.placement import Placement


class Enclosing(NamedTuple):
    """Of one pipeline."""

    name: str
    """Of its run."""
    profile: str
    settings: str
    """What it is made with, as JSON."""
    last_step: str
    """Every other one comes before it."""
    placement: Placement
    has_train_jobs: bool = False

    def begin(self, parent_run_id: object) -> dsl.PipelineTask:
        """Open the run."""
        opened = open_run(
            name=self.name,
            profile=self.profile,
            settings=self.settings,
            parent_run_id=parent_run_id,
        )
        return self.placement.place(opened, "open_run", pure=False)

    def end(self, work: dsl.PipelineTask, parent_run_id: object) -> None:
        """Close it after ``work``, also if that fails."""
        closed = close_run(
            has_train_jobs=self.has_train_jobs,
            last_step=self.last_step,
            parent_run_id=parent_run_id,
        )
        closed.after(work).ignore_upstream_failure()
        self.placement.place(closed, "close_run", pure=False)
