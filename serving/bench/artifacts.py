"""``python -m serving.bench.artifacts``: a large artifact to a real S3 server and back.

A folder of eight files of random bytes is stored and fetched, file by file and, as the baseline, as
one tar. Each transfer is a separate process. Disk usage is the peak size of the files beside the
store during a transfer, including deleted files that are still open. Then a connection is cut in
the middle of a transfer in both directions, and the proxy in front of the store counts the bytes of
the retry.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import typer

from serving.bench.cut_proxy import CutProxy
from spatialreward.artifacts import ArtifactRef
from spatialreward.cli.command import CommandGroup, configure_logging
from spatialreward.figures import Figure
from spatialreward.folder_manifest import digest_folder
from spatialreward.stack import Service, StackConfig, running_stack
from spatialreward.stack.endpoints import S3Endpoint
from spatialreward.storage import BUCKET, ObjectStore

SEED = 6
NUM_FILES = 8
MOST_DISK = 1.1
MOST_MEMORY_MB = 500.0
MOST_AGAIN = 1.05
"""Of the missing bytes: some requests, and those in flight."""
_CUT_AT = 0.6
"""Share of the artifact: some files are complete then, and some in flight."""
_PREFIX = f"s3://{BUCKET}/artifacts/bench"
_LOOK_EVERY_S = 0.02
_CHUNK = 1 << 20
_FOLDER = Path("build/bench-artifacts")

app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)


class Moved(NamedTuple):
    """Result of a transfer."""

    status: int
    answer: str
    """The artifact's reference, or the folder; empty after a failure."""
    peak_mb: float
    peak_bytes: int
    """Peak size of the files beside the store."""
    seconds: float


@app.callback(invoke_without_command=True)
def main(
    gigabytes: Annotated[float, typer.Option(min=0.001, help="Size of the artifact.")] = 4.0,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Needs four times that size; emptied.")
    ] = _FOLDER,
) -> None:
    """Measure, print a table, and write build/figures/artifacts.json."""
    from spatialreward.figures import figures_console, figures_table, write_figures

    configure_logging()
    figures = measure(folder, int(gigabytes * 1e9))
    title = f"An artifact of {gigabytes:g} GB in {NUM_FILES} files"
    figures_console().print(figures_table(title, figures, baseline="one tar"))
    typer.echo(f"written to {write_figures('artifacts', figures, seeds={'content': SEED})}")
    if not all(one.reached for one in figures if one.reached is not None):
        raise typer.Exit(1)


def measure(folder: Path, num_bytes: int) -> list[Figure]:
    """Store and fetch an artifact of this size, file by file and as one tar.

    Args:
        folder: for the artifact and the S3 server's files; emptied first.
        num_bytes: of the artifact.
    """
    shutil.rmtree(folder, ignore_errors=True)
    source = folder.absolute() / "client" / "artifact"
    write_random(source, num_bytes)
    # A separate server for each, so that its files are gone before the next.
    with _s3(folder / "s3") as s3:
        put, fetch = _there_and_back(s3, source, "put", "fetch")
    with _s3(folder / "s3") as s3:
        put_tar, fetch_tar = _there_and_back(s3, source, "put-tar", "fetch-tar")
    with _s3(folder / "s3") as s3:
        again = _cut_figures(s3, source, num_bytes)
    shutil.rmtree(folder)
    figures = []
    for name, files, tar in (("put", put, put_tar), ("fetch", fetch, fetch_tar)):
        figures += [
            Figure.at_most(
                f"artifact/disk_ratio_{name}",
                files.peak_bytes / num_bytes,
                MOST_DISK,
                baseline=tar.peak_bytes / num_bytes,
            ),
            Figure.at_most(
                f"artifact/{name}_peak_mb",
                files.peak_mb,
                MOST_MEMORY_MB,
                unit="MB",
                baseline=tar.peak_mb,
            ),
            Figure(
                name=f"artifact/{name}_mb_per_s",
                value=num_bytes / files.seconds / 1e6,
                unit="MB/s",
                baseline=num_bytes / tar.seconds / 1e6,
            ),
        ]
    return figures + again


def write_random(folder: Path, num_bytes: int) -> None:
    """Write files of random bytes with this total size."""
    folder.mkdir(parents=True)
    drawn = np.random.default_rng(SEED)
    for number in range(NUM_FILES):
        left = num_bytes // NUM_FILES + (num_bytes % NUM_FILES if number == 0 else 0)
        with (folder / f"part-{number}.bin").open("wb") as file:
            while left:
                file.write(drawn.bytes(size := min(left, _CHUNK)))
                left -= size


def _there_and_back(s3: S3Endpoint, source: Path, put: str, fetch: str) -> tuple[Moved, Moved]:
    stored = _move(s3.endpoint_url, s3, source.parent, put, str(source), _PREFIX)
    back = source.parents[1] / "back" / "artifact"
    back.parent.mkdir()
    fetched = _move(s3.endpoint_url, s3, back.parent, fetch, stored.answer, str(back))
    if stored.status or fetched.status or digest_folder(back) != digest_folder(source):
        raise SystemExit(f"{put} and {fetch}: what came back is not what was stored")
    shutil.rmtree(back.parent)
    return stored, fetched


def _cut_figures(s3: S3Endpoint, source: Path, num_bytes: int) -> list[Figure]:
    where = urlsplit(s3.endpoint_url)
    store = ObjectStore(s3.endpoint_url, s3.access_key, s3.secret_key)
    with CutProxy(str(where.hostname), int(where.port or 80)) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        cut_after = int(num_bytes * _CUT_AT)
        proxy.start_again(cut_after)
        _expect_failure(_move(url, s3, source.parent, "put", str(source), _PREFIX))
        finished = _finished(store)
        proxy.start_again()
        stored = _move(url, s3, source.parent, "put", str(source), _PREFIX)
        resent = finished.keys() & proxy.put_keys
        sent_again = proxy.num_up / (num_bytes - sum(finished.values()))

        back = source.parents[1] / "back" / "artifact"
        back.parent.mkdir()
        proxy.start_again(cut_after)
        _expect_failure(_move(url, s3, back.parent, "fetch", stored.answer, str(back)))
        here = (path for path in back.parent.rglob("*") if path.is_file())
        missing = num_bytes - sum(path.stat().st_size for path in here)
        proxy.start_again()
        fetched = _move(url, s3, back.parent, "fetch", stored.answer, str(back))
        fetched_again = proxy.num_down / missing
    if fetched.status or digest_folder(back) != ArtifactRef.parse(stored.answer).sha256:
        raise SystemExit("after a cut connection: what came back is not what was stored")
    return [
        Figure(name="artifact/finished_at_the_cut", value=len(finished), unit="files"),
        Figure.at_most("artifact/resent_files", len(resent), 0),
        Figure.at_most(
            "artifact/sent_to_missing",
            sent_again,
            MOST_AGAIN,
            baseline=num_bytes / (num_bytes - cut_after),
        ),
        Figure.at_most(
            "artifact/fetched_to_missing", fetched_again, MOST_AGAIN, baseline=num_bytes / missing
        ),
    ]


def _move(url: str, s3: S3Endpoint, folder: Path, way: str, source: str, target: str) -> Moved:
    """Run one transfer, and watch the files in ``folder`` meanwhile."""
    variables = {
        "S3_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "TMPDIR": str(folder),
    }
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.bench.artifact_moves", way, source, target],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with _watched(folder, process.pid) as peak:
            out, said = process.communicate()
    finally:
        # After an interrupt; no effect on an ended process.
        process.kill()
    seconds = time.perf_counter() - start
    told = json.loads(out) if process.returncode == 0 else {"moved": "", "peak_mb": 0.0}
    if process.returncode and "StorageError:" not in said:
        raise SystemExit(f"{way} {source}: {said}")
    return Moved(process.returncode, told["moved"], told["peak_mb"], max(peak), seconds)


def _expect_failure(moved: Moved) -> None:
    if moved.status == 0:
        raise SystemExit("the connection was cut too late: the move came to its end")


@contextmanager
def _watched(folder: Path, pid: int) -> Iterator[list[int]]:
    """Sizes of a folder's and a process's files, sampled repeatedly."""
    found, is_over = [_bytes_below(folder)], threading.Event()

    def look() -> None:
        while not is_over.wait(_LOOK_EVERY_S):
            found.append(_bytes_below(folder) + _deleted_bytes(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()
        found.append(_bytes_below(folder))


def _bytes_below(folder: Path) -> int:
    """Size of a folder's files on disk."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(parent, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _deleted_bytes(pid: int) -> int:
    """Size of deleted files that a process still has open."""
    total = 0
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if os.readlink(link).endswith(" (deleted)"):
                total += link.stat().st_blocks * 512
    except OSError:
        # The process has just closed that file, or ended.
        return total
    return total


def _finished(store: ObjectStore) -> dict[str, int]:
    """Sizes of the complete objects, by bucket and key."""
    prefix = _PREFIX.removeprefix(f"s3://{BUCKET}/")
    return {
        f"{BUCKET}/{one.object_name}": int(one.size or 0)
        for one in store.client.list_objects(BUCKET, prefix + "/", recursive=True)
    }


@contextmanager
def _s3(folder: Path) -> Iterator[S3Endpoint]:
    config = StackConfig(state_dir=folder, without=frozenset({Service.MLFLOW, Service.TRITON}))
    with running_stack(config) as endpoints:
        s3 = endpoints.s3
        assert s3 is not None
        ObjectStore(s3.endpoint_url, s3.access_key, s3.secret_key).ensure_bucket(BUCKET)
        yield s3
    shutil.rmtree(folder)


if __name__ == "__main__":
    app()
