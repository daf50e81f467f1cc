"""Runs all stages on this machine: shards in parallel, finished ones are skipped.

A stopped or killed run resumes: each stage of each shard is a folder that appears once complete.
The settings are stored beside them, so that a folder never mixes two builds.
"""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from spatialreward.chat.keys import key_of
from spatialreward.data.corpus import stages
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.packing.card import About, write_card
from spatialreward.data.packing.manifest import (
    FILE_NAME,
    Manifest,
    ShardReport,
    gather,
    read_manifest,
    write_manifest,
)
from spatialreward.data.sources.opening import open_source
from spatialreward.data.teacher.usage import TeacherUsage
from spatialreward.errors import InvalidInputError
from spatialreward.progress import track

logger = logging.getLogger(__name__)

_WORK = "work"
_SETTINGS = "settings.json"
_LEDGER = "answers.sqlite"
_HOW_IT_IS_ASKED = {
    "base_url",
    "api_key_variable",
    "key_over_http",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "timeout_s",
    "deadline_s",
    "max_attempts",
    "give_up_after",
    "budget",
}
"""Teacher settings that do not affect its answers: a build may resume with other values."""


def build_corpus(config: CorpusConfig, out: Path, *, workers: int = 1) -> Manifest:
    """Build a packed data set in folder ``out``: shards, manifest, data card.

    Args:
        config: what to build.
        out: new, empty, or of a run with the same settings, which is resumed.
        workers: parallel processes for shards.

    Raises:
        InvalidInputError: the teacher's key is not set, the folder holds something else, the source
            is unreadable, or too many rows are unusable; the message gives the main reason.
        TeacherStopped: the budget is spent or the server is away; the same call resumes later.
    """
    is_built = (out / FILE_NAME).is_file()
    if config.teacher is not None and not is_built:
        key_of(config.teacher)
    lineage = lineage_of(config)
    if is_built:
        return _finished(out, lineage)
    work = _work_folder(out, lineage)
    numbers = range(config.num_shards)
    prepared = [work / "prepared" / f"shard-{number:05d}" for number in numbers]
    _on_all("prepared", _prepare, [(config, *pair) for pair in enumerate(prepared)], workers)
    early, final = work / "left-out-early", work / "left-out"
    shards = prepared
    if config.teacher is not None:
        stages.select(config, prepared, early, final=False)
        shards = [work / "annotated" / one.name for one in prepared]
        # In sequence: budget and rate limits belong to one process and one ledger.
        for before, after in zip(prepared, shards, strict=True):
            if not after.is_dir():
                left_out = early / f"{before.name}.jsonl"
                stages.annotate_shard(config, before, left_out, out / _LEDGER, after)
    stages.select(config, shards, final)
    tasks = [
        (shard, final / f"{shard.name}.jsonl", number, out) for number, shard in enumerate(shards)
    ]
    reports = _on_all("packed", stages.pack_shard, tasks, workers)
    manifest = finish(config, reports, [shard / stages.USAGE for shard in shards], lineage, out)
    shutil.rmtree(work)
    return manifest


def lineage_of(config: CorpusConfig) -> dict[str, Any]:
    """Settings and the source's content, as JSON: all inputs of a data set.

    Raises:
        InvalidInputError: the source is missing, lacks columns, or has fewer rows than the
            requested shards.
    """
    settings = config.model_dump(mode="json", exclude={"teacher": _HOW_IT_IS_ASKED})
    source = open_source(config.source)
    rows = source.num_rows(config.num_shards)
    if rows < config.num_shards:
        raise InvalidInputError(
            f"num_shards = {config.num_shards:,}, but the source has {rows:,} rows, and a shard "
            "needs one at least"
        )
    return {"settings": settings, "source": source.describe()}


def finish(
    config: CorpusConfig,
    reports: Sequence[ShardReport],
    usages: Sequence[Path],
    lineage: dict[str, Any],
    out: Path,
) -> Manifest:
    """Write the manifest and the data card for the complete shards in folder ``out``."""
    manifest = gather(reports, lineage)
    usage = sum(
        (TeacherUsage.model_validate_json(path.read_bytes()) for path in usages if path.is_file()),
        start=TeacherUsage(),
    )
    unfinished = write_manifest(manifest, out)
    teacher = None if config.teacher is None else usage.model_dump()
    try:
        write_card(out, _about(config, lineage, manifest), teacher=teacher)
    except BaseException:
        # The manifest marks a data set as complete, so it is written last.
        unfinished.unlink()
        raise
    return manifest


def _about(config: CorpusConfig, lineage: dict[str, Any], manifest: Manifest) -> About:
    kind = lineage["settings"]["source"]["kind"]
    given = config.license or "the source's, which the settings do not name"
    givers = {name for name in manifest.counts if name.startswith("labelled_by/")}
    asked = set() if config.teacher is None else {f"labelled_by/{config.teacher.model}"}
    labelled = ""
    if givers - asked:
        labelled = ", labelled with the truth" if kind == "world" else ", labelled there"
    if givers & asked:
        labelled += ", annotated by a teacher"
    return About(
        name=config.name,
        summary=f"Image edits from a {kind} source, with the regions in which the pictures differ"
        f"{labelled}.",
        license_note=f"Pictures and instructions keep their licence: {given}.",
    )


def _finished(out: Path, lineage: dict[str, Any]) -> Manifest:
    manifest = read_manifest(out)
    if manifest.config != lineage:
        raise InvalidInputError(
            f"{out}: holds a data set of other settings or another source: "
            f"{_first_difference(manifest.config, lineage)}"
        )
    logger.info("%s: built before, with the same settings", out)
    return manifest


def _work_folder(out: Path, lineage: dict[str, Any]) -> Path:
    work = out / _WORK
    settings = work / _SETTINGS
    if settings.is_file():
        before = json.loads(settings.read_bytes())
        if before != lineage:
            raise InvalidInputError(
                f"{out}: an unfinished build of other settings is in it: "
                f"{_first_difference(before, lineage)}; finish that one or choose another folder"
            )
        logger.info("%s: resuming an unfinished build", out)
        return work
    if out.is_dir() and any(out.iterdir()):
        raise InvalidInputError(f"{out}: expected a new or an empty folder")
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise InvalidInputError(f"{out}: {error.strerror}") from error
    unfinished = settings.with_suffix(".partial")
    unfinished.write_text(json.dumps(lineage, indent=2), encoding="utf-8")
    unfinished.rename(settings)
    return work


def _first_difference(before: Any, now: Any, where: str = "") -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                return _first_difference(before.get(key), now.get(key), f"{where}{key}.")
    return f"{where.rstrip('.')} was {json.dumps(before)[:80]}, is {json.dumps(now)[:80]}"


def _prepare(config: CorpusConfig, number: int, folder: Path) -> None:
    if not folder.is_dir():
        stages.prepare_shard(config, number, folder)


def _on_all(
    what: str, do: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], workers: int
) -> list[Any]:
    """Run all tasks, in separate processes if there are several workers; in order."""
    description = f"shards {what}"
    if workers == 1:
        return [do(*task) for task in track(tasks, total=len(tasks), description=description)]
    # Threads of libraries do not survive a fork.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_quiet) as pool:
        futures = [pool.submit(do, *task) for task in tasks]
        try:
            for future in track(as_completed(futures), total=len(tasks), description=description):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _quiet() -> None:
    """Disable a worker's progress, which its parent process reports."""
    logging.getLogger("spatialreward.progress").disabled = True
