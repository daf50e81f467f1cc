"""Resumable states of a training, with its identity.

The Trainer writes one folder per state. A state is complete once it has this module's file, written
last, which also identifies the training, so that no other training resumes from it.
"""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from spatialreward.errors import InvalidInputError

logger = logging.getLogger(__name__)

_FILE = "training.json"
_PREFIX = "checkpoint-"


class States(TrainerCallback):
    """States of one training, in a folder of its own."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Find the last complete state.

        Args:
            folder: of the states.
            identity: the training's settings and data, as flat JSON.

        Raises:
            InvalidInputError: the last state is another training's; names the difference.
        """
        self._identity = json.loads(json.dumps(dict(identity)))
        self._seconds_before = 0.0
        self._start = time.perf_counter()
        self.last = self._find(folder)
        """Folder of the last complete state; None: start from the beginning."""

    @property
    def seconds(self) -> float:
        """Duration of the training, over all its runs."""
        return self._seconds_before + time.perf_counter() - self._start

    def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Mark the new state as complete."""
        if not state.is_world_process_zero:
            return
        path = Path(args.output_dir) / f"{_PREFIX}{state.global_step}" / _FILE
        unfinished = path.with_suffix(".partial")
        unfinished.write_text(json.dumps({"of": self._identity, "seconds": self.seconds}))
        unfinished.rename(path)

    def _find(self, folder: Path) -> Path | None:
        marked = list(folder.glob(f"{_PREFIX}*/{_FILE}"))
        if not marked:
            return None
        last = max(marked, key=lambda path: int(path.parent.name.removeprefix(_PREFIX)))
        record = json.loads(last.read_text())
        of = record["of"]
        for name in sorted(of.keys() | self._identity.keys()):
            before, now = of.get(name), self._identity.get(name)
            if before != now:
                raise InvalidInputError(
                    f"{folder}: holds the state of another training: {name} was {before}, is "
                    f"{now}; go on with the same settings, or remove the folder"
                )
        self._seconds_before = record["seconds"]
        logger.info("resuming after step %s", last.parent.name.removeprefix(_PREFIX))
        return last.parent
