"""Measures reading packed edits by number: opening, speed during training, and resuming.

The data set has as many rows as the paper's, of small generated edits that repeat. Opening is
measured in separate processes, with the cost of reading all rows into memory as the baseline;
reading with one worker that decodes the pictures, against a loop that reads a row's row group from
Parquet each time, and during the training of the tiny judge.
"""

import io
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from components.data_building.bench.loader_process import SEED, finished_steps
from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit
from spatialreward.data.packing.manifest import ShardReport, gather, read_manifest, write_manifest
from spatialreward.data.packing.schema import edits_of, to_row
from spatialreward.data.packing.shards import EDITS, ShardWriter
from spatialreward.data.rows import EditRows
from spatialreward.figures import Figure
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples, origin_of
from spatialreward.world.shipped import SHIPPED_BASE

_NUM_SHARDS = 4
_NUM_DRAWN = 100
_BATCH_SIZE = 24
_PROCESS = "components.data_building.bench.loader_process"


class Opening(NamedTuple):
    """A process's cost for random access to all rows."""

    rows: int
    seconds: float
    peak_mb: float


class RowByRow:
    """The baseline: a PyTorch data set that opens the file and reads a row's row group."""

    def __init__(self, folder: Path) -> None:
        """The rows of a packed data set, in order."""
        self._folder = folder
        self._places = [
            (shard.name, group, row)
            for shard in read_manifest(folder).shards
            for group, size in enumerate(shard.row_groups)
            for row in range(size)
        ]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._places)

    def __getitem__(self, number: int) -> LabelledEdit:
        """One row."""
        name, group, row = self._places[number]
        with pq.ParquetFile(self._folder / name) as file:
            table = file.read_row_group(group, use_threads=False).slice(row, 1)
        return edits_of(table, name)[0]


def loader_figures(
    folder: Path,
    *,
    num_edits: int = 260_000,
    num_read: int = 6_000,
    num_baseline: int = 500,
    num_killed: int = 26_000,
) -> list[Figure]:
    """Measure on generated edits.

    Args:
        folder: for the data set, its copy, and the checkpoint of the short training.
        num_edits: rows of the data set.
        num_read: rows read for the speed.
        num_baseline: rows read by the slow baseline.
        num_killed: rows of the epoch that is killed and resumed.
    """
    packed, cache = folder / "packed", folder / "cache"
    pack(num_edits, packed)
    whole = opening("read-whole", packed, cache)
    first, again = (opening("open-rows", packed, cache) for _ in range(2))
    rows = EditRows(Dataset(packed), cache)
    read = samples_per_s(rows, num_read, num_workers=1)
    in_process = samples_per_s(rows, num_read, num_workers=0)
    plain = samples_per_s(RowByRow(packed), num_baseline, num_workers=1)
    training = training_samples_per_s(folder)
    return [
        Figure(name="loader/rows", value=again.rows),
        Figure.at_most(
            "loader/first_open_s", first.seconds, 120.0, unit="s", baseline=whole.seconds
        ),
        Figure.at_most("loader/open_s", again.seconds, 10.0, unit="s", baseline=whole.seconds),
        Figure.at_most(
            "loader/peak_mb",
            max(first.peak_mb, again.peak_mb),
            500.0,
            unit="MB",
            baseline=whole.peak_mb,
        ),
        Figure(name="loader/samples_per_s", value=read, unit="1/s", baseline=plain),
        Figure(name="loader/samples_per_s_in_process", value=in_process, unit="1/s"),
        Figure(name="loader/training_samples_per_s", value=training, unit="1/s"),
        Figure.at_least(
            "loader/ratio_to_training", read / training, 5.0, baseline=plain / training
        ),
        Figure.at_least("loader/rows_seen_once", seen_once(packed, cache, num_killed, folder), 1.0),
    ]


def opening(what: str, packed: Path, cache: Path) -> Opening:
    """Cost of random access for a new process, by the way ``what``."""
    answer = subprocess.run(
        [sys.executable, "-m", _PROCESS, what, str(packed), str(cache)],
        stdout=subprocess.PIPE,
        check=True,
    )
    return Opening(**json.loads(answer.stdout))


def samples_per_s(rows: Any, num_rows: int, *, num_workers: int) -> float:
    """Rows read at random and decoded, after the first batch, which waits for the worker."""
    from torch.utils.data import DataLoader, Subset

    drawn = random.Random(SEED).sample(range(len(rows)), min(num_rows, len(rows)))
    loader = DataLoader(
        Subset(rows, drawn),
        batch_size=_BATCH_SIZE,
        num_workers=num_workers,
        collate_fn=decoded,
    )
    batches = iter(loader)
    next(batches)
    start = time.perf_counter()
    return sum(map(len, batches)) / (time.perf_counter() - start)


def decoded(edits: Sequence[LabelledEdit]) -> list[list["np.ndarray[Any, Any]"]]:
    """The pixels of all pictures of each edit."""
    return [
        [
            np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
            for picture in (*edit.sources, edit.edited)
            if picture is not None
        ]
        for edit in edits
    ]


def training_samples_per_s(folder: Path) -> float:
    """Speed of the judge's own training on such edits, from the shipped base, after warm-up.

    They form a separate data set, which a training may scan before it starts.
    """
    from spatialreward.training.base import Base
    from spatialreward.training.config import JudgeTrainingConfig
    from spatialreward.training.sft import train_judge

    config = JudgeTrainingConfig()
    num_samples = 2 * config.report_every * config.optimiser.batch_size
    speeds: list[float] = []

    def report(metrics: dict[str, float], step: int) -> None:
        speeds.append(metrics["speed/samples_per_s"])

    config = config.model_copy(update={"num_samples": num_samples})
    pack(num_samples, folder / "training")
    data = Dataset(folder / "training")
    train_judge(Base(SHIPPED_BASE), config, data, folder / "judge", report)
    return speeds[-1]


def seen_once(packed: Path, cache: Path, num_rows: int, folder: Path) -> float:
    """Share of the rows that a killed and a resumed training saw exactly once, together."""
    steps = folder / "steps.jsonl"
    command = [sys.executable, "-m", _PROCESS, "train", str(packed), str(cache), str(steps)]
    with subprocess.Popen([*command, str(num_rows)]) as training:
        while sum(map(len, finished_steps(steps))) < num_rows / 3:
            if training.poll() is not None:
                raise RuntimeError(f"the training ended with {training.returncode} before its kill")
            time.sleep(0.01)
        training.kill()
    subprocess.run([*command, str(num_rows)], check=True)
    times = Counter(row for step in finished_steps(steps) for row in step)
    return sum(times[row] == 1 for row in range(num_rows)) / max(num_rows, times.total())


def pack(num_edits: int, folder: Path) -> None:
    """Write a data set that repeats a few generated edits; each row has its own number."""
    world = DataConfig(seed=SEED, picture_size=64)
    samples = draw_samples(world, "train", min(num_edits, _NUM_DRAWN), first=0)
    drawn = [
        to_row(labelled_edit(sample, origin_of(world, "train", number)))
        for number, sample in enumerate(samples)
    ]
    # Build rows once instead of for each repetition.
    layout = EDITS._replace(to_row=lambda row: row)
    folder.mkdir(parents=True)
    reports = []
    for shard in range(_NUM_SHARDS):
        first, end = (one * num_edits // _NUM_SHARDS for one in (shard, shard + 1))
        with ShardWriter(folder / f"train-{shard:05d}.parquet", layout=layout) as writer:
            for number in range(first, end):
                new = {"id": f"edit-{number}", "origin_row": str(number)}
                writer.write(drawn[number % len(drawn)] | new)
        reports.append(ShardReport(shard=writer.shard, counts={"edits": end - first}, left_out={}))
    write_manifest(gather(reports, {}), folder)
