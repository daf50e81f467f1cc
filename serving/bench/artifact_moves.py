"""One move of a folder, in a process of its own so that its memory is that of the move alone.

``python -m serving.bench.artifact_moves WAY FROM TO`` says the most memory that it took. The ways
with ``tar`` are the baseline: one archive, made beside the folder and sent as one object.
"""

import json
import sys
import tarfile
from pathlib import Path

from spatialreward.artifacts import ArtifactRef
from spatialreward.storage import ObjectStore

ARCHIVE = "archive.tar"


def main() -> None:
    """Move a folder, and say what was moved and the peak of memory as JSON."""
    way, source, target = sys.argv[1:]
    moved = move(way, source, target)
    sys.stdout.write(json.dumps({"moved": moved, "peak_mb": peak_memory_mb()}))


def move(way: str, source: str, target: str) -> str:
    """Put a folder at a prefix, or fetch a reference into a folder; returns what one needs next."""
    store = ObjectStore.from_environment()
    match way:
        case "put":
            return str(store.put_folder(Path(source), target))
        case "fetch":
            return str(store.fetch_folder(ArtifactRef.parse(source), Path(target)))
        case "put-tar":
            archive = Path(source).parent / ARCHIVE
            with tarfile.open(archive, "w") as tar:
                tar.add(source, arcname=".")
            store.put_file(archive, f"{target}/{ARCHIVE}")
            archive.unlink()
            return f"{target}/{ARCHIVE}"
        case "fetch-tar":
            archive = Path(target).parent / ARCHIVE
            store.get_file(source, archive)
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
            archive.unlink()
            return target
    raise SystemExit(f"{way}: expected put, fetch, put-tar or fetch-tar")


def peak_memory_mb() -> float:
    """The most resident memory of this process so far; the parent's does not count."""
    [line] = [
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    ]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
