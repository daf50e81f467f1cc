"""Builds training data on this machine as the pipeline's steps, on a local stack."""

from pipelines.data_dag import build_data_pipeline, num_steps
from pipelines.placement import Here
from pipelines.steps import run_steps, step_environment, variables
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.corpus.running import lineage_of
from spatialreward.data.teacher.keys import key_of
from spatialreward.figures import commit
from spatialreward.ops.config import flatten
from spatialreward.ops.step import work_dir
from spatialreward.ops.tracking import open_run
from spatialreward.stack import StackConfig, running_stack


def run_data_here(config: CorpusConfig, stack: StackConfig, *, anew: bool) -> str:
    """Run the data pipeline; returns the prefix of the packed data set in the stack's store.

    Raises:
        InvalidInputError: the teacher's key is not set, or the source is not there or has no such
            columns.
        GraphError: a step failed; names it, what it said, and its log.
        StackError: the local stack does not start.
    """
    if config.teacher is not None:
        key_of(config.teacher)
    lineage_of(config)
    with (
        running_stack(stack) as endpoints,
        variables(step_environment(endpoints, stack.state_dir)),
        open_run(f"data {config.name}", tags={"commit": commit()}) as parent,
    ):
        parent.log_params(flatten(config.model_dump(mode="json")))
        folder = work_dir() / "runs" / str(parent.run_id)
        answers = run_steps(
            build_data_pipeline(config, Here(f"data-{config.name}", {})),
            parent,
            folder,
            num_steps(config),
            anew=anew,
        )
    (location,) = answers.values()
    return location
