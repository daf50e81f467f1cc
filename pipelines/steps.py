"""Runs the steps of a compiled pipeline on a local stack, as one run in MLflow."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kfp import dsl

from pipelines.compiling import write_pipeline
from pipelines.graph import LOG, run_graph
from spatialreward.ops.step import RERUN, work_dir
from spatialreward.ops.tracking import Tracker
from spatialreward.stack import Endpoints, environment
from spatialreward.stack.processes import MARK


def run_steps(
    graph: dsl.base_component.BaseComponent,
    parent: Tracker,
    folder: Path,
    num_steps: int,
    *,
    rerun: bool,
    given: Mapping[str, str],
) -> dict[str, str]:
    """Compile and run; returns the pipeline's outputs.

    Args:
        graph: the pipeline, placed for this machine.
        parent: run in MLflow that the steps' runs belong to.
        folder: for the pipeline, its log, and kfp's files.
        num_steps: number of steps, for the progress.
        rerun: run every step again, even one with unchanged inputs.
        given: the pipeline's parameters beside the run.

    Raises:
        GraphError: a step failed; has its name, its error, and its log.
    """
    pipeline = folder / "pipeline.yaml"
    write_pipeline(graph, pipeline)
    parent.log_file(pipeline)
    try:
        return run_graph(
            pipeline,
            {**given, "parent_run_id": str(parent.run_id)},
            folder,
            {RERUN: "1"} if rerun else {},
            num_steps,
        )
    finally:
        if (folder / LOG).is_file():
            parent.log_file(folder / LOG)


def step_environment(endpoints: Endpoints, state_dir: Path) -> dict[str, str]:
    """Environment variables of steps that run on a local stack."""
    state_dir = state_dir.absolute()
    return environment(endpoints) | {
        "SPATIALREWARD_WORK_DIR": str(work_dir()),
        "SPATIALREWARD_CACHE": os.environ.get(
            "SPATIALREWARD_CACHE", str(state_dir / "fetched-models")
        ),
        # A stopped server on loopback will not return: half a minute per call, not four minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Marks steps as the stack's, so that stopping the stack also stops those of a killed run.
        MARK: str(state_dir.resolve()),
    }


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a ``with`` block."""
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
