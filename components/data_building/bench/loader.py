"""The loader's speed beside the judge's training, and beside a loop that reads row by row.

One worker process does all that lies between the store and the model: it reads shards from a real
S3 server, checks and decodes both pictures, and makes the tensors that a training step takes. The
plain loop makes the same of rows in local files, one at a time.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow.parquet as pq

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit
from spatialreward.data.loading.order import permutation
from spatialreward.data.loading.packed import PackedData, Sample, open_packed
from spatialreward.data.loading.progress import Progress
from spatialreward.data.loading.s3 import RangeStore, S3Folder
from spatialreward.data.loading.state import LoadingConfig, Mark, Share
from spatialreward.data.packing.manifest import ShardReport, gather, read_manifest, write_manifest
from spatialreward.data.packing.schema import edits_of
from spatialreward.data.packing.shards import write_shard
from spatialreward.figures import Figure
from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.protocol.prompts import TINY
from spatialreward.stack import Service, StackConfig, running_stack
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples, origin_of
from spatialreward.world.shipped import SHIPPED_BASE

if TYPE_CHECKING:
    from torch import Tensor

SEED = 31
_NUM_SHARDS = 4
_BATCH_SIZE = 24
_BUCKET = "loader"
_STEPS_A_REPORT = 50


class Prepared(NamedTuple):
    """What a worker makes of one edit."""

    question: Question
    answer: str


class Encode:
    """Makes the tensors of a training step, and keeps the marks beside them."""

    def __init__(self, processor: Processor) -> None:
        """With a judge's own tokenizer and image processor."""
        self._processor = processor

    def __call__(
        self, samples: Sequence[Sample[Prepared]]
    ) -> tuple[list[Mark], dict[str, "Tensor"]]:
        """The marks of a batch's samples, and its tensors."""
        questions = [sample.item.question for sample in samples]
        answers = [sample.item.answer for sample in samples]
        return [sample.mark for sample in samples], self._processor.encode(questions, answers)


class RowByRow:
    """The plain way: a PyTorch data set that opens the file and reads a row's row group."""

    def __init__(self, folder: Path, num_rows: int) -> None:
        """``num_rows`` rows of a packed data set, drawn at random."""
        places = [
            (shard.name, group, row)
            for shard in read_manifest(folder).shards
            for group, size in enumerate(shard.row_groups)
            for row in range(size)
        ]
        self._folder = folder
        self._places = [places[number] for number in permutation(len(places), SEED)[:num_rows]]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._places)

    def __getitem__(self, number: int) -> Sample[Prepared]:
        """One row, prepared."""
        name, group, row = self._places[number]
        with pq.ParquetFile(self._folder / name) as file:
            table = file.read_row_group(group, use_threads=False).slice(row, 1)
        return Sample(Mark(0, 0, number), prepare(edits_of(table, name)[0]))


def loader_figures(
    folder: Path, *, num_edits: int = 6_000, picture_size: int = 64, num_baseline: int = 500
) -> list[Figure]:
    """Measure on generated edits.

    Args:
        folder: for data sets, the S3 server's files and the checkpoint of the short training.
        num_edits: edits of the packed data set; the loader goes through them once from disk and
            once from S3.
        picture_size: side of their pictures in pixels.
        num_baseline: rows that the plain loop reads, which is slow.
    """
    world = DataConfig(seed=SEED, picture_size=picture_size)
    packed = folder / "packed"
    pack(world, num_edits, packed)
    row_by_row = samples_per_s(_batch_sizes(RowByRow(packed, num_baseline)))
    local = samples_per_s(_epoch(open_packed(packed)))
    with _in_s3(packed, folder / "s3") as data:
        from_s3 = samples_per_s(_epoch(data))
    training = training_samples_per_s(Dataset(packed), folder)
    return [
        Figure(name="loader/samples_per_s", value=from_s3, unit="1/s", baseline=row_by_row),
        Figure(name="loader/samples_per_s_local", value=local, unit="1/s", baseline=row_by_row),
        Figure(name="loader/training_samples_per_s", value=training, unit="1/s"),
        Figure.at_least(
            "loader/ratio_to_training", from_s3 / training, 5.0, baseline=row_by_row / training
        ),
    ]


def samples_per_s(batch_sizes: Iterable[int]) -> float:
    """Speed behind the first batch, which waits for the worker to start and its first buffer."""
    sizes = iter(batch_sizes)
    next(sizes)
    start = time.perf_counter()
    return sum(sizes) / (time.perf_counter() - start)


def training_samples_per_s(data: Dataset, folder: Path) -> float:
    """Speed of the judge's own training on these edits, from the shipped base, once it is warm."""
    from spatialreward.training.config import JudgeTrainingConfig
    from spatialreward.training.judge import start_from, train_judge

    config = JudgeTrainingConfig()
    num_samples = 2 * _STEPS_A_REPORT * config.optimiser.batch_size
    speeds: list[float] = []

    def report(metrics: dict[str, float], step: int) -> None:
        speeds.append(metrics["speed/samples_per_s"])

    config = config.model_copy(update={"num_samples": num_samples})
    train_judge(lambda: start_from(SHIPPED_BASE), config, data, folder / "judge", report)
    return speeds[-1]


def prepare(edit: LabelledEdit) -> Prepared:
    """Decode an edit's pictures, and say what the judge is asked and should answer."""
    from spatialreward.training.examples import judging_examples

    [example] = judging_examples("semantic", [edit], TINY)
    return Prepared(example.ask(), example.answer)


def pack(world: DataConfig, num_edits: int, folder: Path) -> None:
    """Write generated edits as data building packs them."""
    folder.mkdir(parents=True)
    reports = []
    for number in range(_NUM_SHARDS):
        first, end = (one * num_edits // _NUM_SHARDS for one in (number, number + 1))
        drawn = enumerate(draw_samples(world, "train", end - first, first=first), first)
        edits = (labelled_edit(sample, origin_of(world, "train", row)) for row, sample in drawn)
        shard = write_shard(folder / f"train-{number:05d}.parquet", edits)
        reports.append(ShardReport(shard=shard, counts={"edits": end - first}, left_out={}))
    write_manifest(gather(reports, {}), folder)


@contextmanager
def _in_s3(packed: Path, state: Path) -> Iterator[PackedData]:
    """The packed data set under a prefix of a real S3 server, which runs for that long."""
    config = StackConfig(state_dir=state, without=frozenset({Service.MLFLOW, Service.TRITON}))
    with running_stack(config) as endpoints:
        s3 = endpoints.s3
        assert s3 is not None
        connect = partial(RangeStore, s3.endpoint_url, s3.access_key, s3.secret_key)
        store, location = connect(), f"s3://{_BUCKET}/packed"
        store.ensure_bucket(_BUCKET)
        for path in packed.iterdir():
            store.put_file(path, f"{location}/{path.name}")
        yield open_packed(S3Folder(location, connect))


def _epoch(data: PackedData) -> Iterator[int]:
    """Sizes of the batches of an epoch, used as a training would use them."""
    from spatialreward.data.loading.torch_dataset import EditDataset

    progress = Progress(data.begin(LoadingConfig(seed=SEED)), Share(num_workers=1))
    return _batch_sizes(EditDataset(data, progress, prepare), progress)


def _batch_sizes(dataset: Any, progress: Progress | None = None) -> Iterator[int]:
    from torch.utils.data import DataLoader

    processor = Processor.load(SHIPPED_BASE, TINY.square_side).following(TINY)
    loader = DataLoader(
        dataset, batch_size=_BATCH_SIZE, num_workers=1, collate_fn=Encode(processor)
    )
    for marks, _ in loader:
        if progress is not None:
            progress.advance(marks)
        yield len(marks)
