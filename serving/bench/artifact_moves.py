"""One transfer of a folder in a separate process, to measure its memory alone.

``python -m serving.bench.artifact_moves WAY FROM TO`` prints its peak memory. The ways with ``tar``
are the baseline: one archive, made beside the folder and sent as one object.
"""

import json
import sys
import tarfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spatialreward.artifacts import ArtifactRef
from spatialreward.figures import peak_memory_bytes
from spatialreward.storage import ObjectStore

ARCHIVE = "archive.tar"


class Way(StrEnum):
    """Kind of transfer."""

    PUT = "put"
    FETCH = "fetch"
    PUT_TAR = "put-tar"
    FETCH_TAR = "fetch-tar"


def main(
    way: Annotated[Way, typer.Argument(help="The transfer to do.")],
    source: Annotated[str, typer.Argument(metavar="FROM", help="A folder, or a reference.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="A prefix, or a new folder.")],
) -> None:
    """Transfer a folder, and print its result and peak memory as JSON."""
    moved = move(way, source, target)
    peak_mb = peak_memory_bytes() / 1e6
    sys.stdout.write(json.dumps({"moved": moved, "peak_mb": peak_mb}))


def move(way: Way, source: str, target: str) -> str:
    """Put a folder at a prefix, or fetch a reference into a folder; returns the next input."""
    store = ObjectStore.from_environment()
    match way:
        case Way.PUT:
            return str(store.put_folder(Path(source), target))
        case Way.FETCH:
            return str(store.fetch_folder(ArtifactRef.parse(source), Path(target)))
        case Way.PUT_TAR:
            archive = Path(source).parent / ARCHIVE
            with tarfile.open(archive, "w") as tar:
                tar.add(source, arcname=".")
            store.put_file(archive, f"{target}/{ARCHIVE}")
            archive.unlink()
            return f"{target}/{ARCHIVE}"
        case Way.FETCH_TAR:
            archive = Path(target).parent / ARCHIVE
            store.get_file(source, archive)
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
            archive.unlink()
            return target


if __name__ == "__main__":
    typer.run(main)
