"""Throughput of the whole path without a teacher, against a straightforward loop.

Both decode two 512-pixel JPEGs, look for changed regions, hash, filter, encode two JPEGs and write
Parquet.
"""

import io
import shutil
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
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
from components.data_building.bench.workers import Work, Worker, side_by_side
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.corpus.pictures import PictureConfig
from spatialreward.data.corpus.stages import prepare_shard
from spatialreward.data.sources.columns import Columns
from spatialreward.data.sources.config import ParquetSource
from spatialreward.figures import Figure
from spatialreward.progress import track
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples

SEED = 6
TARGET_RATE = 25.0
TARGET_RATIO_TO_BASELINE = 5.0
TARGET_TWO_WORKERS = 1.8
TARGET_MEMORY_GB = 1.5
RATIO_TO_BASELINE = "throughput/ratio_to_baseline"
TWO_WORKERS_RATIO = "throughput/two_workers_ratio"
_SIDE = 512
_TEXTURE_SCALES = (1, 4, 16)


class Pair(NamedTuple):
    """Edits a second, measured right after each other."""

    rate: float
    beside: float
    """Of the baseline."""

    @property
    def ratio(self) -> float:
        """How many times as fast."""
        return self.rate / self.beside


class Throughput(NamedTuple):
    """The measurements."""

    figures: list[Figure]
    pairs: dict[str, list[Pair]]
    """By the name of the figure that is the median of their ratios."""


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


def measure_throughput(folder: Path, *, count: int, rounds: int) -> Throughput:
    """Throughput of one worker against the loop, and of two workers against one.

    A round is two pairs: worker and loop, worker and two workers. Other load slows down both halves
    of a pair, so ratios are taken per pair; a rate alone is less reliable.

    Args:
        folder: for the data and the results.
        count: edits per worker and round: a few seconds' work, so that the load is stable.
        rounds: repetitions, for the medians.
    """
    data = folder / "data"
    shutil.rmtree(folder, ignore_errors=True)
    make_edits(data, count)
    make_edits(data / "warm", 2)
    to_loop, to_one, cores, by_cpu, peaks = [], [], [], [], []
    with ExitStack() as opened:
        one, other, loop = (
            opened.enter_context(Worker(name, do, folder / f"out-{number}"))
            for number, (name, do) in enumerate(_WORKERS)
        )
        side_by_side([one, other, loop], data / "warm")
        for _ in track(range(rounds), total=rounds, description="throughput"):
            first, plain = side_by_side([one], data), side_by_side([loop], data)
            to_loop.append(Pair(_rate(first, count), _rate(plain, count)))
            second, both = side_by_side([one], data), side_by_side([one, other], data)
            to_one.append(Pair(_rate(both, count), _rate(second, count)))
            had = sum(work.cpu_s for work in both)
            cores.append(had / _seconds(both))
            # Twice as fast on two whole cores, if workers share no resource.
            by_cpu.append(2 * len(both) * second[0].cpu_s / had)
            peaks += [work.peak_bytes for work in (*first, *second, *both)]
    return Throughput(
        [*_speeds(to_loop, to_one), *_means(cores, by_cpu, peaks)],
        {RATIO_TO_BASELINE: to_loop, TWO_WORKERS_RATIO: to_one},
    )


def _speeds(to_loop: Sequence[Pair], to_one: Sequence[Pair]) -> list[Figure]:
    """Rates of one worker, and how they compare."""
    rates = [pair.rate for pair in to_loop] + [pair.beside for pair in to_one]
    rate = statistics.median(rates)
    return [
        Figure.at_least(
            "throughput/samples_per_s_per_core",
            rate,
            TARGET_RATE,
            unit="1/s",
            baseline=statistics.median(pair.beside for pair in to_loop),
            spread=(min(rates), max(rates)),
        ),
        _ratio(RATIO_TO_BASELINE, to_loop, TARGET_RATIO_TO_BASELINE),
        _ratio(TWO_WORKERS_RATIO, to_one, TARGET_TWO_WORKERS),
        Figure(name="throughput/core_hours_for_260k", value=260_000 / rate / 3600, unit="h"),
    ]


def _ratio(name: str, pairs: Sequence[Pair], target: float) -> Figure:
    ratios = [pair.ratio for pair in pairs]
    return Figure.at_least(
        name,
        statistics.median(ratios),
        target,
        baseline=1.0,
        spread=(min(ratios), max(ratios)),
    )


def _means(cores: Sequence[float], by_cpu: Sequence[float], peaks: Sequence[int]) -> list[Figure]:
    """The workers' share of the machine, and the speed of two with all of it."""
    return [
        _of_rounds("throughput/cores_of_two_workers", cores),
        _of_rounds("throughput/two_workers_ratio_by_cpu_time", by_cpu),
        Figure.at_most(
            "throughput/worker_memory_gb", max(peaks) / 1e9, TARGET_MEMORY_GB, unit="GB"
        ),
    ]


def _of_rounds(name: str, values: Sequence[float]) -> Figure:
    return Figure(name=name, value=statistics.median(values), spread=(min(values), max(values)))


def _rate(works: Sequence[Work], count: int) -> float:
    return len(works) * count / _seconds(works)


def _seconds(works: Sequence[Work]) -> float:
    """From the first start to the last end."""
    return max(work.end for work in works) - min(work.start for work in works)


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
    """A first implementation: Pillow, NumPy, all rows in memory."""
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
    """Structure at several scales, ``[side, side, 1]``, as in photographs."""
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


_WORKERS = (("worker", _prepare), ("second worker", _prepare), ("loop", _loop))
