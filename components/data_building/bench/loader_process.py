"""Work of the loader's bench in new processes: opening a data set, and a killable epoch.

``python -m components.data_building.bench.loader_process open-rows|read-whole PACKED CACHE`` writes
its cost; ``... train PACKED CACHE STEPS NUM_ROWS`` runs an epoch.
"""

import json
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit
from spatialreward.data.rows import EditRows
from spatialreward.figures import peak_memory_bytes

SEED = 31
BATCH_SIZE = 64


class What(StrEnum):
    """The work of a process."""

    OPEN_ROWS = "open-rows"
    READ_WHOLE = "read-whole"
    TRAIN = "train"


def open_rows(packed: Path, cache: Path) -> Any:
    """Open a data set like a training."""
    return EditRows(Dataset(packed), cache)


def read_whole(packed: Path, cache: Path) -> Any:
    """The baseline for random access: read all rows into memory."""
    return pq.read_table(sorted(map(str, packed.glob("*.parquet"))))


def train(packed: Path, cache: Path, steps: Path, num_rows: int) -> None:
    """Run an epoch of ``num_rows`` rows, from the last step in ``steps``.

    ``steps`` stands for weights and position: one line per finished step, with its rows. A
    truncated line is an unfinished step.
    """
    from accelerate import skip_first_batches
    from accelerate.data_loader import prepare_data_loader
    from torch.utils.data import DataLoader, Subset

    rows = Subset(EditRows(Dataset(packed), cache), range(num_rows))
    loader = DataLoader(
        rows, batch_size=BATCH_SIZE, shuffle=True, num_workers=1, collate_fn=_numbers
    )
    loader = prepare_data_loader(loader, use_seedable_sampler=True, data_seed=SEED)
    finished = finished_steps(steps)
    with steps.open("r+" if finished else "w") as file:
        file.seek(sum(len(json.dumps(step)) + 1 for step in finished))
        file.truncate()
        for seen in skip_first_batches(loader, len(finished)):
            file.write(json.dumps(seen) + "\n")
            file.flush()


def finished_steps(steps: Path) -> list[list[int]]:
    """The rows of each finished step; empty before the first."""
    lines = steps.read_text().splitlines(keepends=True) if steps.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _numbers(edits: list[LabelledEdit]) -> list[int]:
    return [int(edit.origin.row) for edit in edits]


def _measured(work: Callable[[Path, Path], Any], packed: Path, cache: Path) -> None:
    start = time.perf_counter()
    rows = work(packed, cache)
    cost = {
        "rows": len(rows),
        "seconds": time.perf_counter() - start,
        "peak_mb": peak_memory_bytes() / 1e6,
    }
    sys.stdout.write(json.dumps(cost))


def main(
    what: Annotated[What, typer.Argument(help="The work to do.")],
    packed: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    cache: Annotated[Path, typer.Argument(help="Folder of its copy.")],
    steps: Annotated[Path | None, typer.Argument(help="For train: file of finished steps.")] = None,
    num_rows: Annotated[int, typer.Argument(help="For train: rows of the epoch.")] = 0,
) -> None:
    """Do one of the three kinds of work."""
    match what:
        case What.OPEN_ROWS:
            _measured(open_rows, packed, cache)
        case What.READ_WHOLE:
            _measured(read_whole, packed, cache)
        case What.TRAIN:
            if steps is None:
                raise typer.BadParameter("train: expected STEPS and NUM_ROWS")
            train(packed, cache, steps, num_rows)


if __name__ == "__main__":
    typer.run(main)
