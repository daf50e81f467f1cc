"""The outer pipeline, which opens and closes a run in MLflow around the steps.

The steps are an inner pipeline; the outer one opens the run before them and closes it after them,
whatever their outcome. ``dsl.ExitHandler`` compiles to the same, but tasks inside it cannot be the
outer pipeline's outputs.
"""

from typing import NamedTuple

from kfp import dsl

from components.reward_deployment.component import close_run, open_run
from pipelines.placement import Placement


class Enclosing(NamedTuple):
    """Settings of one outer pipeline."""

    name: str
    """Name of its run."""
    profile: str
    settings: str
    """The pipeline's settings, as JSON."""
    last_step: str
    """The step that finishes after all others."""
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
        """Close it after ``work``, also after a failure."""
        closed = close_run(
            has_train_jobs=self.has_train_jobs,
            last_step=self.last_step,
            parent_run_id=parent_run_id,
        )
        closed.after(work).ignore_upstream_failure()
        self.placement.place(closed, "close_run", pure=False)
