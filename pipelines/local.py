"""Runs a compiled pipeline with kfp's local runner, in a process of its own.

``python -m pipelines.local PIPELINE.yaml ARGUMENTS.json ANSWERS.json``: a process that can be
stopped as a whole, whose output is the log of all steps.
"""

import json
import logging
import sys
import warnings
from pathlib import Path

from kfp import components, local

logger = logging.getLogger(__name__)


def main() -> int:
    """Run the pipeline; the exit status is 1 when a step failed."""
    # Components of ours run in this environment, whatever their image is called.
    warnings.filterwarnings("ignore", message="You may be attemping to run a task")
    pipeline, arguments, answers = (Path(argument) for argument in sys.argv[1:])
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(answers.parent / "kfp"),
        raise_on_error=True,
    )
    run = components.load_component_from_file(str(pipeline))
    try:
        task = run(**json.loads(arguments.read_text()))
    except RuntimeError as error:
        # How kfp says that a step failed; the step has said why.
        logger.error("%s", error)
        return 1
    answers.write_text(json.dumps(task.outputs))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
