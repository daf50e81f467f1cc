"""Settings of small builds."""

import json
from pathlib import Path

from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from tests.data.teacher.teacher_server import TeacherServer

WORLD = {"kind": "world", "count": 12, "data": {"picture_size": 64}}
COLUMNS = {
    "sources": ["source"],
    "edited": "edited",
    "instruction": "instruction",
    "id": ["id"],
    "operation": "operation",
}


def settings(**changed: object) -> CorpusConfig:
    return CorpusConfig.model_validate(
        {"name": "small", "source": WORLD, "num_shards": 3} | changed
    )


def write_edits(folder: Path, count: int, **changed_rows: dict) -> dict[str, object]:
    """A folder with JSON Lines and pictures; returns the source's settings.

    ``changed_rows``: fields of rows ``r0``, ``r1`` ... that are different.
    """
    folder.mkdir()
    lines = []
    for number, sample in enumerate(draw_samples(DataConfig(seed=3), "train", count)):
        (folder / f"{number}-source.png").write_bytes(sample.source)
        (folder / f"{number}-edited.png").write_bytes(sample.edited)
        row = {
            "id": f"r{number}",
            "source": f"{number}-source.png",
            "edited": f"{number}-edited.png",
            "instruction": sample.instruction,
            "operation": "+".join(one.kind for one in sample.world.operations),
        }
        lines.append(json.dumps(row | changed_rows.get(f"r{number}", {})))
    (folder / "edits.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return {"kind": "jsonl", "folder": str(folder), "columns": COLUMNS}


def taught(
    server: TeacherServer,
    source: dict[str, object],
    *,
    budget: dict | None = None,
    **changed: object,
) -> CorpusConfig:
    """Settings of a build that asks a server about every edit, once."""
    teacher = {
        "budget": budget or {},
        "concurrency": 1,
        "base_url": server.url,
        "model": "scripted-vl",
        "api_key_variable": "TEACHER_KEY",
        "verify": False,
    }
    return settings(source=source, teacher=teacher, max_reject_share=0.9, **changed)


def write_labelled(folder: Path, count: int, **changed_answers: str) -> dict[str, object]:
    """A folder like that of SpatialReward-Train; returns the source's settings.

    Of every edit there is a row for each stream, ``sc0``, ``pq0``, ``sc1`` ...

    ``changed_answers``: answers of rows, by these names, that are different.
    """
    folder.mkdir()
    lines = []
    for number, sample in enumerate(draw_samples(DataConfig(seed=3), "train", count)):
        names = [f"{number}-source.png", f"{number}-edited.png"]
        for name, data in zip(names, (sample.source, sample.edited), strict=True):
            (folder / name).write_bytes(data)
        scores, truth = sample.truth.scores, sample.truth
        sc = {
            "edit_region": [region.model_dump() for region in truth.regions],
            "reasoning": f"<|global|> {truth.done} of {truth.asked} changes are as asked",
            "score": [round(scores.editing_success), round(scores.over_editing)],
        }
        pq = {
            "reasoning": f"spoiled by {truth.artifact}",
            "score": [round(scores.naturalness), round(scores.artifact_freedom)],
        }
        asked = f"<image><image>Judge.\nEditing instruction: {sample.instruction}"
        rows = {"sc": (names, asked, sc), "pq": (names[1:], "<image>Judge its looks.", pq)}
        for stream, (pictures, question, answer) in rows.items():
            text = changed_answers.get(f"{stream}{number}", json.dumps(answer))
            turns = [{"from": "human", "value": question}, {"from": "gpt", "value": text}]
            lines.append(json.dumps({"image": pictures, "conversations": turns}))
    (folder / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return {"kind": "jsonl", "folder": str(folder), "columns": "spatialreward-sft-assumed"}
