"""Runs a compiled pipeline with kfp's local runner, in a separate process.

``python -m pipelines.local PIPELINE.yaml ARGUMENTS.json ANSWERS.json``: a process that can be
stopped as a whole, whose output is the log of all steps.

Uses only ``kfp.local``. After a failure its runner continues with independent steps; each of them
finds the recorded failure and exits at once.
"""

import argparse
import json
import logging
import warnings
from pathlib import Path

from kfp import components, local

logger = logging.getLogger(__name__)


def main() -> int:
    """Run the pipeline; the exit status is 1 when a step failed."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.local",
        description="Run a compiled pipeline on this machine, its output the log of all steps.",
    )
    parser.add_argument("pipeline", type=Path, metavar="PIPELINE.yaml", help="compiled pipeline")
    parser.add_argument("arguments", type=Path, metavar="ARGUMENTS.json", help="its parameters")
    parser.add_argument("answers", type=Path, metavar="ANSWERS.json", help="outputs, to write")
    given = parser.parse_args()
    # Our components run in this environment, independent of their images, with this machine's
    # resources.
    warnings.filterwarnings("ignore", message="You may be attemping to run a task")
    warnings.filterwarnings("ignore", message="Task .* have no effect in the current local runner")
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(given.answers.parent / "kfp"),
        raise_on_error=True,
    )
    run = components.load_component_from_file(str(given.pipeline))
    try:
        task = run(**json.loads(given.arguments.read_text()))
    except RuntimeError as error:
        # kfp's error for a failed step; the step has reported its own.
        logger.error("%s", error)
        return 1
    given.answers.write_text(json.dumps(task.outputs))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
