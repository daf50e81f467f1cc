"""The folder of a fine-tuning from the command line: settings, state, metrics, and the editor.

The settings are written first; the same ones resume the training, others are refused. Metrics have
one line per step, also after a kill.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from spatialreward.errors import InvalidInputError
from spatialreward.metrics_file import MetricsFile
from spatialreward.reading import parse_json, read_text

_SETTINGS_FILE = "settings.json"
_UNFINISHED = ".partial"


class RunFolder:
    """One training and its files."""

    def __init__(self, path: Path) -> None:
        """Use a folder; reads and writes nothing yet."""
        self.path = path
        self.editor = path / "editor"
        """The checkpoint; exists once the training is finished."""
        self.resume_file = path / "state.pt"
        self.metrics = MetricsFile(path / "metrics.jsonl")

    @classmethod
    def checked(cls, path: Path, what: str = "training") -> Self:
        """A folder that is new, empty, or a training's.

        Args:
            path: of the folder.
            what: the expected kind of work, for errors.

        Raises:
            InvalidInputError: it holds something else, or is a file.
        """
        if path.exists() and not path.is_dir():
            raise InvalidInputError(f"{path}: is a file, expected a new folder")
        if path.is_dir() and any(path.iterdir()) and not (path / _SETTINGS_FILE).is_file():
            raise InvalidInputError(
                f"{path}: is there already, and holds no {what} to go on with; use a new folder"
            )
        return cls(path)

    @property
    def is_finished(self) -> bool:
        """Whether the editor exists."""
        return self.editor.is_dir()

    def hold_to(self, settings: Mapping[str, Any]) -> None:
        """Write these settings, or check that they match the existing ones.

        Args:
            settings: everything that affects the result, by dotted name.

        Raises:
            InvalidInputError: they differ (names the first one and both values), or the folder is
                not writable.
        """
        file = self.path / _SETTINGS_FILE
        if not file.is_file():
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                _replace(file, json.dumps(settings, indent=2) + "\n")
            except OSError as error:
                raise InvalidInputError(f"{self.path}: {error.strerror}") from error
            return
        try:
            before = parse_json(read_text(file))
        except InvalidInputError as error:
            raise InvalidInputError(f"{file}: {error}") from error
        # Compare as JSON, which turns tuples into lists.
        now = json.loads(json.dumps(settings))
        for name in dict.fromkeys((*before, *now)):
            if before.get(name) != now.get(name):
                raise InvalidInputError(
                    f"{self.path}: was started with {name} {_shown(before.get(name))}, now it is "
                    f"{_shown(now.get(name))}; give the same settings to resume, or a new folder"
                )

    def finish(self, checkpoint: Path) -> None:
        """Move a complete checkpoint to the training's editor."""
        checkpoint.rename(self.editor)
        self.resume_file.unlink(missing_ok=True)

    @property
    def unfinished_editor(self) -> Path:
        """Path of the checkpoint until it is complete."""
        return self.editor.with_suffix(_UNFINISHED)


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)


def _replace(file: Path, text: str) -> None:
    unfinished = file.with_name(f"{file.name}{_UNFINISHED}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)
