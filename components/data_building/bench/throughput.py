"""Edits a second of the whole path without a teacher, beside a straightforward loop.

Both decode two 512-pixel JPEGs, look for changed regions, hash, filter, encode two JPEGs and write
Parquet. A worker is a process with one thread, as a pod with one core would run it.
"""

import io
import resource
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing import Queue, get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import cv2
import imagehash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy import ndimage

from components.data_building.bench.baselines import beyond_most, least_difference
from components.data_building.bench.regions import world_pair
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.corpus.pictures import PictureConfig
from spatialreward.data.corpus.stages import prepare_shard
from spatialreward.data.sources.columns import Columns
from spatialreward.data.sources.config import ParquetSource
from spatialreward.figures import Figure
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples

SEED = 6
TARGET_RATE = 25.0
TARGET_RATIO = 1.8
TARGET_MEMORY_GB = 1.5
_SIDE = 512
_TEXTURE_SCALES = (1, 4, 16)
_LONGEST_S = 900


class Work(NamedTuple):
    """What one process did."""

    start: float
    end: float
    peak_bytes: int


def make_edits(folder: Path, count: int) -> None:
    """A Parquet file of ``count`` edits: generated ones with texture, encoded and shifted."""
    rng = np.random.default_rng(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for sample in draw_samples(DataConfig(seed=SEED, picture_size=_SIDE), "heldout", count):
        texture = _texture(rng)
        source, edited = (_textured(one, texture) for one in world_pair(sample, rng))
        rows.append(
            {
                "source": {"bytes": _jpeg(source, 90)},
                "edited": {"bytes": _jpeg(edited, 90)},
                "instruction": sample.instruction,
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), folder / "edits.parquet", row_group_size=64)


def throughput_figures(folder: Path, *, count: int, rounds: int) -> list[Figure]:
    """One worker, two workers and the straightforward loop, in turn.

    Args:
        folder: for the data and what is made of it.
        count: edits a worker and round.
        rounds: of which the medians count.
    """
    data = folder / "data"
    shutil.rmtree(folder, ignore_errors=True)
    make_edits(data, count)
    make_edits(data / "warm", 2)
    single, double, simple, peaks = [], [], [], []
    for _ in range(rounds):
        (one,) = _side_by_side(1, _prepare, data, folder)
        single.append(count / (one.end - one.start))
        two = _side_by_side(2, _prepare, data, folder)
        began, ended = min(work.start for work in two), max(work.end for work in two)
        double.append(2 * count / (ended - began))
        peaks += [work.peak_bytes for work in (one, *two)]
        (loop,) = _side_by_side(1, _loop, data, folder)
        simple.append(count / (loop.end - loop.start))
    rate = statistics.median(single)
    return [
        Figure.at_least(
            "throughput/samples_per_s_per_core",
            rate,
            TARGET_RATE,
            unit="1/s",
            baseline=statistics.median(simple),
        ),
        Figure.at_least(
            "throughput/two_workers_ratio",
            statistics.median(two / one for one, two in zip(single, double, strict=True)),
            TARGET_RATIO,
            baseline=1.0,
        ),
        Figure.at_most(
            "throughput/worker_memory_gb", max(peaks) / 1e9, TARGET_MEMORY_GB, unit="GB"
        ),
        Figure(name="throughput/core_hours_for_260k", value=260_000 / rate / 3600, unit="h"),
    ]


def _side_by_side(
    workers: int, do: Callable[[Path, Path], None], data: Path, folder: Path
) -> Sequence[Work]:
    context = get_context("spawn")
    # Nobody begins before everybody has imported everything and done it once.
    start_line, results = context.Barrier(workers), context.Queue()
    processes = [
        context.Process(
            target=_worker, args=(do, data, folder / f"out-{number}", start_line, results)
        )
        for number in range(workers)
    ]
    for process in processes:
        process.start()
    done = [results.get(timeout=_LONGEST_S) for _ in processes]
    for process in processes:
        process.join()
    return done


def _worker(
    do: Callable[[Path, Path], None], data: Path, out: Path, start_line: Barrier, results: Queue
) -> None:
    cv2.setNumThreads(1)
    _timed(do, data / "warm", out)
    start_line.wait(_LONGEST_S)
    results.put(_timed(do, data, out))


def _timed(do: Callable[[Path, Path], None], data: Path, out: Path) -> Work:
    shutil.rmtree(out, ignore_errors=True)
    start = time.time()
    do(data, out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Work(start, time.time(), peak)


def _prepare(data: Path, out: Path) -> None:
    config = CorpusConfig(
        name="bench",
        source=ParquetSource(
            folder=str(data),
            files="*.parquet",
            columns=(Columns(sources=("source",), edited="edited", instruction="instruction"),),
        ),
        pictures=PictureConfig(longest_side=_SIDE, keep_files=False),
    )
    prepare_shard(config, 0, out)


def _loop(data: Path, out: Path) -> None:
    """What one would write first: Pillow, NumPy, all rows in memory."""
    rows = []
    for row in pq.read_table(data / "edits.parquet").to_pylist():
        source, edited = (
            Image.open(io.BytesIO(row[name]["bytes"])).convert("RGB")
            for name in ("source", "edited")
        )
        rows.append(
            {
                "instruction": row["instruction"],
                "source": _jpeg(source, 95),
                "edited": _jpeg(edited, 95),
                "boxes": _simple_boxes(np.asarray(source), np.asarray(edited)),
                "hashes": [str(imagehash.phash(one)) for one in (source, edited)],
            }
        )
    out.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), out / "edits.parquet")


def _simple_boxes(before: np.ndarray, after: np.ndarray) -> list[list[int]]:
    """The shift-tolerant difference of ``baselines``, at full size and with NumPy alone."""
    smooth = ndimage.gaussian_filter(least_difference(before, after), 4)
    labels, _ = ndimage.label(beyond_most(smooth))
    return [
        [int(x.start), int(y.start), int(x.stop), int(y.stop)]
        for y, x in ndimage.find_objects(labels)
    ]


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Structure at several scales, ``[side, side, 1]``, as a photograph has it everywhere."""
    layers = [
        cv2.resize(
            rng.normal(0, 6, (_SIDE // scale, _SIDE // scale)).astype(np.float32), (_SIDE, _SIDE)
        )
        for scale in _TEXTURE_SCALES
    ]
    return np.sum(layers, axis=0)[..., None]


def _textured(image: Image.Image, texture: np.ndarray) -> Image.Image:
    return Image.fromarray((np.asarray(image) + texture).clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
