"""Builds everything for the comparison in one folder; skips existing parts."""

import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spatialreward.data.dataset import Dataset
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.progress import track
from spatialreward.training.config import JudgeKind
from spatialreward.world.agreement import DrawnGroups, draw_groups
from spatialreward.world.building import build_shard
from spatialreward.world.claim.config import ClaimConfig
from spatialreward.world.claim.measuring import Measured, measure
from spatialreward.world.config import DataConfig, Split
from spatialreward.world.drawn_edits import draw_data_set
from spatialreward.world.editor_pretraining import pretrain_editor, stages_of

logger = logging.getLogger(__name__)

_SETTINGS = "settings.json"
_SECONDS = "training_s.json"
_MEASURED = "measured.json"
_CHECKPOINT = "judge"


class TrainingError(SpatialRewardError, RuntimeError):
    """A judge's training failed; its own output gives the reason."""


class ClaimFolder:
    """Data, editor, judges and their measures; resumes with the same settings."""

    def __init__(self, folder: Path, config: ClaimConfig, base: Path | None) -> None:
        """Open or create the folder.

        Args:
            folder: for all files.
            config: the comparison.
            base: initial checkpoint of all judges; None: one is made here.

        Raises:
            InvalidInputError: the folder has other settings or another base, or there is no such
                base.
        """
        self._folder = folder
        self._config = config
        if base is not None and not base.is_dir():
            raise InvalidInputError(f"--base {base}: there is no such folder")
        self._base = base
        folder.mkdir(parents=True, exist_ok=True)
        # Omit unset values, so that folders from before a setting existed still match.
        left_out = {"drawing"} if config.drawing is None else None
        settings = json.dumps(
            config.model_dump(mode="json", exclude=left_out) | {"base": str(base or "made here")},
            indent=2,
        )
        path = folder / _SETTINGS
        if path.is_file() and path.read_text() != settings:
            raise InvalidInputError(
                f"{path}: was started with other settings; resume with those, or use another folder"
            )
        path.write_text(settings)

    def run(self) -> list[Measured]:
        """Train and measure every missing judge, in sequence."""
        heldout = self._data("heldout")
        groups = draw_groups(
            self.editor(),
            self._one_edit_each,
            self._config.agreement,
        )
        judges = [(kind, seed) for seed in self._config.seeds for kind in self._config.kinds]
        return [
            self._judge(kind, seed, heldout, groups)
            for kind, seed in track(judges, total=len(judges), description="judges")
        ]

    def editor(self) -> Path:
        """The editor that draws groups; pretrains it if missing."""
        out = self._folder / "editor"
        if not out.is_dir():
            pretrain_editor(
                self._config.editor,
                self._data("train"),
                out,
                lambda metrics, step: logger.debug("editor, step %d: %s", step, metrics),
                resume_file=self._folder / "editor.pt",
            )
        return out

    def drawn(self) -> Path | None:
        """The edits drawn for judges to learn from, if configured."""
        if self._config.drawing is None:
            return None
        out = self._folder / "drawn"
        if not out.is_dir():
            unfinished = out.with_suffix(".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            draw_data_set(
                self._config.drawing, self._one_edit_each, stages_of(self.editor()), unfinished
            )
            unfinished.rename(out)
        return out

    def judge(self, kind: JudgeKind, seed: int) -> Path:
        """A judge's checkpoint; trains it if missing. It may be unmeasured.

        Raises:
            TrainingError: the training failed.
        """
        self._train(kind, seed)
        return self._of(kind, seed) / _CHECKPOINT

    @property
    def _one_edit_each(self) -> DataConfig:
        """The world with one edit per task, as groups need it."""
        return self._config.world.model_copy(update={"candidates": (1,)})

    def _make_base(self) -> Path:
        out = self._folder / "base"
        if not out.is_dir():
            logger.info("claim: making the base that describes, about an hour on two cores")
            _command("train", "base", "--out", str(out))
        return out

    def _data(self, split: Split) -> Dataset:
        out = self._folder / split
        if not out.is_dir():
            unfinished = out.with_suffix(".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            build_shard(self._config.world, split, 0, unfinished)
            unfinished.rename(out)
        return Dataset(out)

    def _judge(self, kind: JudgeKind, seed: int, heldout: Dataset, groups: DrawnGroups) -> Measured:
        path = self._of(kind, seed) / _MEASURED
        if path.is_file():
            return Measured.model_validate_json(path.read_text())
        training_s = self._train(kind, seed)
        judge = self._of(kind, seed) / _CHECKPOINT
        measured = measure(self._config, kind, seed, judge, heldout, groups, training_s)
        unfinished = path.with_suffix(".partial")
        unfinished.write_text(measured.model_dump_json())
        unfinished.replace(path)
        return measured

    def _train(self, kind: JudgeKind, seed: int) -> float:
        """Duration in seconds; for a resumed training, that of its last part."""
        folder = self._of(kind, seed)
        seconds = folder / _SECONDS
        if not seconds.is_file():
            base = self._base or self._make_base()
            self._data("train")
            folder.mkdir(parents=True, exist_ok=True)
            settings = _settings(self._config.training_of(kind, seed).model_dump(mode="json"))
            start = time.perf_counter()
            _command(
                *("train", "judge", "--data", str(self._folder / "train"), "--base", str(base)),
                *("--out", str(folder / _CHECKPOINT)),
                *(("--drawn", str(drawn)) if (drawn := self.drawn()) else ()),
                *(part for one in settings for part in ("--set", one)),
            )
            seconds.write_text(json.dumps(time.perf_counter() - start))
        return float(json.loads(seconds.read_text()))

    def _of(self, kind: JudgeKind, seed: int) -> Path:
        return self._folder / "judges" / f"{kind}-{seed}"


def _settings(values: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """``KEY=VALUE``, the form of commands' settings; omits None."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{within}{name}.")
        elif value is not None:
            yield f"{within}{name}={json.dumps(value)}"


def _command(*arguments: str) -> None:
    """Run a command of this library like a user, so that it starts its own processes.

    Raises:
        TrainingError: it failed.
    """
    command = [sys.executable, "-m", "spatialreward.cli", *arguments]
    status = subprocess.run(command, check=False).returncode
    if status:
        raise TrainingError(f"{' '.join(arguments)}: ended with status {status}; see above")
