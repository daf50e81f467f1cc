"""Runs a compiled pipeline with kfp's local runner, in a process of its own.

``python -m pipelines.local PIPELINE.yaml ARGUMENTS.json ANSWERS.json``: a process that can be
stopped as a whole, whose output is the log of all steps.

After a failure kfp's runner would go on with whatever does not need the step that failed, and start
the pipeline's last step when all of that is done. Here the first failure is the end of everything
but the last step, which records it.
"""

import argparse
import json
import logging
import threading
import warnings
from pathlib import Path

import yaml
from kfp import components, local
from kfp.local import status, subprocess_task_handler

logger = logging.getLogger(__name__)

_LAST_STEP = "close_run"
_failed = threading.Event()


class FirstFailureEnds(subprocess_task_handler.SubprocessTaskHandler):
    """Runs a task unless one before it has failed; the last step is run in any case."""

    def run(self) -> status.Status:
        """Run it; a task that is not begun counts as failed."""
        is_last = _LAST_STEP in self.full_command
        if _failed.is_set() and not is_last:
            return status.Status.FAILURE
        result = super().run()
        if result == status.Status.FAILURE:
            _failed.set()
        return result


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
    # Components of ours run in this environment, whatever their image is called, and have what
    # this machine has.
    warnings.filterwarnings("ignore", message="You may be attemping to run a task")
    warnings.filterwarnings("ignore", message="Task .* have no effect in the current local runner")
    subprocess_task_handler.SubprocessTaskHandler = FirstFailureEnds
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(given.answers.parent / "kfp"),
        raise_on_error=True,
    )
    run = components.load_component_from_text(_without_retries(given.pipeline.read_text()))
    try:
        task = run(**json.loads(given.arguments.read_text()))
    except RuntimeError as error:
        # How kfp says that a step failed; the step has said why.
        logger.error("%s", error)
        return 1
    given.answers.write_text(json.dumps(task.outputs))
    return 0


def _without_retries(text: str) -> str:
    """A pipeline whose tasks are tried once: a machine is not a node that another one replaces."""
    documents = list(yaml.safe_load_all(text))
    spec = documents[0]
    for part in (spec["root"], *spec.get("components", {}).values()):
        for task in part.get("dag", {}).get("tasks", {}).values():
            task.pop("retryPolicy", None)
    return yaml.safe_dump_all(documents, sort_keys=False)


if __name__ == "__main__":
    raise SystemExit(main())
