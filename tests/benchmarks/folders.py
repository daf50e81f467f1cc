"""Benchmarks in their published layouts, of tiny pictures, and a judge that follows a script."""

import io
import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from spatialreward.errors import Failure
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import JudgeIdentity, Judgement, JudgementStatus, Scores

FIXTURES = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"
_FACES = itertools.count(1)


def png():
    """The file of a picture that is like no other."""
    number = next(_FACES)
    picture = Image.new("RGB", (8, 8), (number % 256, number // 256, 90))
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def inside(data):
    """A picture as it stands in a Parquet or Arrow file."""
    return {"bytes": data, "path": None}


def group(pair_id, size, *, instruction="add a dog", label="Complex", source=None):
    return {
        "pair_id": pair_id,
        "label": label,
        "instruction": instruction,
        "original_image": inside(source or png()),
        "edited_images": [inside(png()) for _ in range(size)],
    }


def write_mer(folder, *groups):
    """The hub's layout: a file for each size of group."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for size in (2, 3, 4):
        rows = [one for one in groups if f"{size}pair" in one["pair_id"]]
        if rows:
            path = folder / "data" / f"{size}pair-00000-of-00001.parquet"
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return folder


def pair(key, dimension, *, task_type="color_alter", source=None, pictures=None, text="add a dog"):
    return {
        "key": list(key),
        "instruction": text,
        "task_type": task_type,
        "dimension": dimension,
        "input_image": inside(source or png()),
        "output_images": [inside(one) for one in pictures or (png(), png())],
    }


def write_editreward(folder, *pairs):
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(pairs))
    with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table)
    return folder


def built_pair(name, chosen, *, sources=1, prompt_source="emu-edit", text="add a dog"):
    """A pair of MMRB2's built form; its pictures are named after it."""
    return {
        "id": name,
        "prompt_content": [["text", text]]
        + [["image", f"input_images/{name}_{number}.png"] for number in range(sources)],
        "prompt_source": prompt_source,
        "prompt_metadata": {},
        "response_a": {"model_name": "m", "response_content": [["image", f"images/{name}_a.png"]]},
        "response_b": {"model_name": "m", "response_content": [["image", f"images/{name}_b.png"]]},
        "chosen": chosen,
        "human_annotations": [],
    }


def write_built(folder, *pairs):
    for name in ("images", "input_images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for one in pairs:
        contents = (
            one["prompt_content"],
            *(one[f"response_{s}"]["response_content"] for s in "ab"),
        )
        for kind, value in itertools.chain(*contents):
            if kind == "image":
                (folder / value).write_bytes(png())
    (folder / "edit.json").write_text(json.dumps({"pairs": pairs}))
    return folder


def judged(*scores):
    """A judgement of four scores; of fewer, the last one is repeated."""
    names = ("editing_success", "over_editing", "naturalness", "artifact_freedom")
    four = [*scores, *(scores[-1:] * 4)][:4]
    given = Scores(**dict(zip(names, four, strict=True)))
    reward = Aggregation().reward(given)
    return Judgement(status=JudgementStatus.OK, scores=given, reward=reward)


def failed(failure=Failure.NOT_JSON):
    return Judgement.failed("for a reason", failure)


def judgements_of(benchmark, script):
    """Judgements by key, of a script by item and candidate; what it leaves out is missing."""
    return {
        candidate.key: script[item.id][place]
        for item in benchmark.published.items
        for place, candidate in enumerate(item.candidates)
        if item.id in script and script[item.id][place] is not None
    }


def figures(benchmark, judgements):
    """Metrics by name."""
    return {metric.name: metric for metric in benchmark.score(judgements)}


class ScriptedJudge:
    """Answers what ``script`` says of an edit, and remembers what it was asked."""

    notice = ""

    def __init__(self, script, name="scripted"):
        self.identity = JudgeIdentity(name=name, version="1")
        self.script = script
        self.asked = []

    def judge(self, edits):
        answers = []
        for edit in edits:
            self.asked.append(edit)
            answer = self.script(edit)
            answers.append(answer.model_copy(update={"judged_by": str(self.identity)}))
        return answers

    def close(self):
        """Nothing is held."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
