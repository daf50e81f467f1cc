"""Steps that build training data from an edit data set; a shard's steps are independent.

Shards travel between steps as folders. The inputs of ``select-edits`` are separate folders, so that
deciding over all shards does not download all pictures. Packed shards share one prefix; with
manifest and card they form an artifact.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spatialreward.artifacts import ArtifactRef
from spatialreward.chat.keys import key_of
from spatialreward.data.corpus import stages
from spatialreward.data.corpus.config import CorpusConfig, CorpusShardStep, CorpusStep
from spatialreward.data.corpus.running import finish, lineage_of
from spatialreward.data.packing.manifest import FILE_NAME, ShardReport
from spatialreward.errors import InvalidInputError
from spatialreward.ops.data_registration import log_packed
from spatialreward.ops.step import Outputs, Step, run_step, step_key, work_dir
from spatialreward.storage import BUCKET, ObjectStore

_SHARD, _FACTS = "shard", "facts"


def prepare_edits(config: CorpusShardStep, parent_run_id: str) -> str:
    """Read one part of the source and propose regions; returns the references of its folders."""

    def work(step: Step) -> Outputs:
        folder = step.folder / _name(config.shard)
        counts = stages.prepare_shard(config.corpus, config.shard, folder)
        return _keep(step, folder) | {"data/kept": counts.kept, "data/seen": counts.seen}

    inputs = {"source": json.dumps(lineage_of(config.corpus)["source"], sort_keys=True)}
    outputs = run_step("prepare-edits", config, inputs, work, parent_run_id=parent_run_id)
    return _answer(outputs)


def select_edits(config: CorpusStep, shards: Sequence[str], parent_run_id: str) -> str:
    """Decide over all shards which edits to drop; returns the next step's input.

    It is a JSON list with a text for each shard.
    """
    inputs = {_name(number): _of(one, _FACTS) for number, one in enumerate(shards)}
    benchmarks = {str(path): path.read_text("utf-8") for path in config.corpus.benchmarks}

    def work(step: Step) -> Outputs:
        out = step.new_folder("selection")
        counts = stages.select(
            config.corpus, [step.fetch(name) for name in inputs], out, final=config.final
        )
        return {"selection": step.keep(out), "data/kept": counts.kept, "data/seen": counts.seen}

    outputs = run_step(
        "select-edits", config, inputs | benchmarks, work, parent_run_id=parent_run_id
    )
    # Inspecting a source reads all of its files, so later tasks get its location from here.
    common = {
        "selection": outputs["selection"],
        "location": location_of(config.corpus, lineage_of(config.corpus)),
    }
    parts = [
        {"number": number, _SHARD: _of(one, _SHARD), **common} for number, one in enumerate(shards)
    ]
    return json.dumps([json.dumps(part) for part in parts])


def annotate_edits(config: CorpusConfig, part: str, parent_run_id: str) -> str:
    """Ask the teacher about a shard's edits; returns the references of its folders.

    The answers stay in ``answers/`` of the working folder, so a retry on the same disk pays for
    none twice, also with a larger budget.
    """
    settings, inputs = _part_of(config, part)

    def work(step: Step) -> Outputs:
        if config.teacher is not None:
            key_of(config.teacher)
        folder = step.folder / _name(settings.shard)
        left_out = step.folder / "left-out.jsonl"
        left_out.write_text(inputs["left out"], encoding="utf-8")
        # Beside the steps' folders, whose names change with the budget; what is in it is known by
        # all that was asked, so it serves whatever the settings.
        ledger = work_dir() / "answers" / f"{config.name}-{_name(settings.shard)}.sqlite"
        ledger.parent.mkdir(parents=True, exist_ok=True)
        counts = stages.annotate_shard(config, step.fetch(_SHARD), left_out, ledger, folder)
        return _keep(step, folder) | {"data/kept": counts.kept, "data/seen": counts.seen}

    return _answer(run_step("annotate-edits", settings, inputs, work, parent_run_id=parent_run_id))


def pack_edits(config: CorpusConfig, part: str, parent_run_id: str) -> str:
    """Write a shard's final Parquet object; returns its entry for the manifest."""
    settings, inputs = _part_of(config, part)
    location = json.loads(part)["location"]

    def work(step: Step) -> Outputs:
        out = step.new_folder("packed")
        out.mkdir()
        left_out = step.folder / "left-out.jsonl"
        left_out.write_text(inputs["left out"], encoding="utf-8")
        shard = step.fetch(_SHARD)
        report = stages.pack_shard(shard, left_out, settings.shard, out)
        for path in sorted(out.iterdir()):
            step.store.put_file(path, f"{location}/{path.name}")
        usage = shard / stages.USAGE
        used = usage.read_text("utf-8") if usage.is_file() else ""
        return {"report": report.model_dump_json(), "usage": used}

    outputs = run_step("pack-edits", settings, inputs, work, parent_run_id=parent_run_id)
    return json.dumps({name: outputs[name] for name in ("report", "usage")})


def gather_edits(config: CorpusStep, packed: Sequence[str], parent_run_id: str) -> str:
    """Write manifest and data card beside the packed shards; returns the data set's reference."""
    inputs = {f"packed-{number:05d}": one for number, one in enumerate(packed)}
    lineage = lineage_of(config.corpus)
    location = location_of(config.corpus, lineage)

    def work(step: Step) -> Outputs:
        out = step.new_folder("data")
        out.mkdir()
        reports, usages = [], []
        for number, one in enumerate(map(json.loads, packed)):
            report = ShardReport.model_validate_json(one["report"])
            reports.append(report)
            if report.shard is not None:
                # The card is computed from the shards themselves.
                step.store.get_file(f"{location}/{report.shard.name}", out / report.shard.name)
            if one["usage"]:
                usages.append(step.folder / f"usage-{number:05d}.json")
                usages[-1].write_text(one["usage"], encoding="utf-8")
        manifest = finish(config.corpus, reports, usages, lineage, out)
        names = {shard.name for shard in manifest.shards} | {FILE_NAME}
        for path in sorted(out.rglob("*")):
            if path.is_file() and path.name not in names:
                step.tracker.log_file(path)
        # The shards are there already, so they are not uploaded again.
        data = step.keep(out, location)
        log_packed(step.tracker, manifest, location, name=config.corpus.name, context="building")
        counts = {f"data/{name}": count for name, count in manifest.counts.items()}
        shutil.rmtree(out)
        return {"data": data, "digest": manifest.digest, **counts}

    outputs = run_step("gather-edits", config, inputs, work, parent_run_id=parent_run_id)
    _require_stored(ArtifactRef.parse(str(outputs["data"])))
    return str(outputs["data"])


def location_of(config: CorpusConfig, lineage: Mapping[str, Any]) -> str:
    """Prefix of a packed data set, derived from all its inputs."""
    key = step_key("packed-data", config, {"lineage": json.dumps(lineage)}, __package__)
    return f"s3://{BUCKET}/data/{config.name}/{key[:16]}"


def _require_stored(data: ArtifactRef) -> None:
    """Check that all shards exist; a step's marker may outlive its output."""
    store = ObjectStore.from_environment()
    for file in store.read_manifest(data).files:
        if not store.exists(f"{data.uri}/{file.path}"):
            raise InvalidInputError(
                f"{data.uri}/{file.path}: missing from the store; build the data set again with "
                "--rerun"
            )


def _keep(step: Step, folder: Path) -> Outputs:
    light = step.new_folder("light")
    light.mkdir()
    for name in stages.LIGHT:
        shutil.copy(folder / name, light / name)
    return {_SHARD: step.keep(folder), _FACTS: step.keep(light)}


def _answer(outputs: Outputs) -> str:
    return json.dumps({name: outputs[name] for name in (_SHARD, _FACTS)})


def _part_of(config: CorpusConfig, part: str) -> tuple[CorpusShardStep, dict[str, str]]:
    """Inputs of a shard's later steps: its folder, and its dropped edits."""
    selected = json.loads(part)
    number = selected["number"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = ObjectStore.from_environment().fetch_folder(
            ArtifactRef.parse(selected["selection"]), Path(temporary) / "selection"
        )
        left_out = (folder / f"{_name(number)}.jsonl").read_text(encoding="utf-8")
    settings = CorpusShardStep(corpus=config, shard=number)
    return settings, {_SHARD: selected[_SHARD], "left out": left_out}


def _name(shard: int) -> str:
    return f"shard-{shard:05d}"


def _of(answer: str, name: str) -> str:
    return json.loads(answer)[name]
