"""Runs the steps of a compiled pipeline on a local stack, as one run in MLflow."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.graph import GraphError, run_graph
from spatialreward.ops.pipeline_run import recorded_outcome
from spatialreward.ops.step import ANEW, work_dir
from spatialreward.ops.tracking import Tracker
from spatialreward.stack import Endpoints, environment
from spatialreward.stack.processes import MARK


def run_steps(
    compile_to: Callable[[Path], None],
    parent: Tracker,
    folder: Path,
    num_steps: int,
    *,
    anew: bool,
) -> dict[str, str]:
    """Compile and run; returns the pipeline's outputs.

    Args:
        compile_to: writes the pipeline as YAML.
        parent: run in MLflow that the steps' runs belong to.
        folder: for the pipeline, its log, and what kfp keeps.
        num_steps: how many there are, for the progress.
        anew: do every step again, even one that was done with the same inputs.

    Raises:
        GraphError: a step failed; names it, what it said, and its log.
    """
    pipeline = folder / "pipeline.yaml"
    compile_to(pipeline)
    parent.log_file(pipeline)
    try:
        return run_graph(
            pipeline,
            {"parent_run_id": str(parent.run_id)},
            folder,
            {ANEW: "1"} if anew else {},
            num_steps,
        )
    except GraphError as error:
        outcome = recorded_outcome(str(parent.run_id))
        step, said = "a step", str(error)
        if outcome is not None and outcome.step:
            step, said = f"step {outcome.step}", outcome.error
        raise GraphError(f"{step} failed: {said} (log: {folder / 'log.txt'})") from error
    finally:
        if (folder / "log.txt").is_file():
            parent.log_file(folder / "log.txt")


def step_environment(endpoints: Endpoints, state_dir: Path) -> dict[str, str]:
    """Environment variables of steps that run on a local stack."""
    state_dir = state_dir.absolute()
    return environment(endpoints) | {
        "SPATIALREWARD_WORK_DIR": str(work_dir()),
        "SPATIALREWARD_CACHE": os.environ.get(
            "SPATIALREWARD_CACHE", str(state_dir / "fetched-models")
        ),
        # A server on loopback that is gone stays gone: half a minute a call, not four minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Marks steps as the stack's, so that those of a killed run are stopped with it.
        MARK: str(state_dir.resolve()),
    }


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the length of a ``with`` block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
