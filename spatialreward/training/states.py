"""The states from which a training goes on after a kill, and whose they are.

The Trainer writes a folder a state. One counts when the file of this module is in it, which comes
last; that says what is trained, so that no training goes on from the state of another one.
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
        """Look for the last whole state.

        Args:
            folder: where the states are.
            identity: what is trained, on what, and how, as JSON has it; flat.

        Raises:
            InvalidInputError: the last state is that of another training; says what differs.
        """
        self._identity = json.loads(json.dumps(dict(identity)))
        self._seconds_before = 0.0
        self._start = time.perf_counter()
        self.last = self._find(folder)
        """Folder of the last whole state; None: the training begins."""

    @property
    def seconds(self) -> float:
        """How long the training has taken, over all its runs."""
        return self._seconds_before + time.perf_counter() - self._start

    def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Mark the state that was just written as whole."""
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
        told = json.loads(last.read_text())
        of = told["of"]
        for name in sorted(of.keys() | self._identity.keys()):
            before, now = of.get(name), self._identity.get(name)
            if before != now:
                raise InvalidInputError(
                    f"{folder}: holds the state of another training: {name} was {before}, is "
                    f"{now}; go on with the same settings, or remove the folder"
                )
        self._seconds_before = told["seconds"]
        logger.info("going on after step %s", last.parent.name.removeprefix(_PREFIX))
        return last.parent
