"""Overfits a small random judge, to check that data, views, loss and decoding agree.

The edits take the path of real ones: pictures of several sizes in files with their answers in JSON
Lines, ``build_corpus``, ``train_judge``, ``load_judge``. The model is Qwen3-VL's class with a
tokenizer by Qwen's rules, with the prompts of the protocol for large models.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from serving.bench.random_judge import Shape, Tower, write_random_judge
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.corpus.running import build_corpus
from spatialreward.data.dataset import Dataset
from spatialreward.data.tasks import edit_to_judge
from spatialreward.data.views import sft_conversations
from spatialreward.protocol.prompts import FULL
from spatialreward.training.base import Base
from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig
from spatialreward.training.conversations import answer_of
from spatialreward.training.sft import train_judge

if TYPE_CHECKING:
    from spatialreward.records import Judgement

SEED = 9
_SIZES = ((96, 96), (144, 80), (80, 144), (128, 96), (112, 160), (176, 112))
_PIXELS = (4_096, 9_216)
"""Of a picture as the model sees it."""
_SHAPE = Shape(
    language=Tower(width=128, mlp_width=384, layers=4, heads=4),
    vision=Tower(width=96, mlp_width=256, layers=2, heads=3),
    vocabulary=1_024,
    patch_px=8,
    pixels=_PIXELS,
    # About 1 / sqrt(width), without which so small a model learns slowly.
    initializer_range=0.08,
)
_THINGS = (
    "red hat",
    "红色的围巾 🧣",
    "größerer Hut",
    "赤い帽子",
    "wooden door",
    "lamp",
    "small dog",
)
_COLOURS = ("crimson", "navy", "olive", "orange", "teal", "purple", "gold", "grey")
_RGB = {
    "crimson": (220, 20, 60),
    "navy": (0, 0, 128),
    "olive": (128, 128, 0),
    "orange": (255, 140, 0),
    "teal": (0, 128, 128),
    "purple": (128, 0, 128),
    "gold": (255, 215, 0),
    "grey": (128, 128, 128),
}
_COLOURS = tuple(_RGB)
_COLUMNS = {
    "sources": ["source"],
    "edited": "edited",
    "instruction": "instruction",
    "id": ["id"],
    "answers": {"sc": "sc", "pq": "pq"},
}


class Overfitted(NamedTuple):
    """How well the edits are memorised."""

    exact_share: float
    """Share of the edits whose judgement equals the label, word for word."""
    loss: float
    """The last reported one."""


def overfit(folder: Path, num_edits: int, num_steps: int, *, batch_size: int = 8) -> Overfitted:
    """Build, train and judge.

    Args:
        folder: new, for all files.
        num_edits: to learn.
        num_steps: of the training.
        batch_size: of a step.
    """
    from spatialreward.judges.load import load_judge

    data = build_edits(folder, num_edits)
    edits = list(data)
    base = folder / "base"
    texts = [answer_of(one) for edit in edits for one in sft_conversations(edit, FULL)]
    # The prompts consist of whole words, as in a large vocabulary.
    texts += [FULL.semantic, FULL.perceptual] * 8 + [edit.instruction for edit in edits]
    write_random_judge(base, _SHAPE, texts, seed=SEED)
    config = JudgeTrainingConfig(
        seed=SEED,
        num_samples=num_steps * batch_size,
        perceptual_share=0.5,
        protocol="full",
        report_every=50,
        optimiser=OptimiserConfig(
            matrices="muon",
            learning_rate=3e-3,
            weight_decay=0.0,
            precision="fastest",
            warmup_steps=20,
            batch_size=batch_size,
        ),
    )
    losses: list[float] = []

    def report(metrics: Mapping[str, float], step: int) -> None:
        losses.append(metrics["loss/all"])

    made = folder / "judge"
    train_judge(Base(base, "random weights"), config, data, made, report)
    with load_judge(made) as judge:
        judgements = judge.judge([edit_to_judge(edit) for edit in edits])
    right = [_said(one) == _said(edit.label) for one, edit in zip(judgements, edits, strict=True)]
    return Overfitted(sum(right) / len(right), losses[-1])


def build_edits(folder: Path, num_edits: int) -> Dataset:
    """Draw edits, write them in a foreign data set's form, and build that."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    draw = np.random.default_rng(SEED)
    rows = [_row(raw, number, draw) for number in range(num_edits)]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (raw / "edits.jsonl").write_text(lines, encoding="utf-8")
    source = {"kind": "jsonl", "folder": str(raw), "columns": _COLUMNS}
    # Random content never repeats, and all of it has to be learnt.
    config = CorpusConfig.model_validate(
        {"name": "overfit", "source": source, "filters": {"duplicates": None, "balance": None}}
    )
    manifest = build_corpus(config, folder / "data")
    assert manifest.num_edits == num_edits, manifest.left_out
    return Dataset(folder / "data")


def _row(folder: Path, number: int, draw: np.random.Generator) -> dict[str, str]:
    width, height = _SIZES[number % len(_SIZES)]
    source = Image.fromarray(draw.integers(0, 256, (4, 4, 3), np.uint8)).resize((width, height))
    edited = source.copy()
    regions, sentences = [], []
    # On a grid of two by two, so that no two touch.
    for place, cell in enumerate(draw.permutation(4)[: 1 + number % 2].tolist()):
        colour, thing = str(draw.choice(_COLOURS)), str(draw.choice(_THINGS))
        box = _box(cell, draw)
        pixels = [box[0] * width // 1000, box[1] * height // 1000]
        pixels += [box[2] * width // 1000 - 1, box[3] * height // 1000 - 1]
        ImageDraw.Draw(edited).rectangle(pixels, fill=_RGB[colour])
        regions.append({"id": place, "label": f"{colour} {thing}", "bbox_2d": box})
        sentences.append(f"<|bbox_{place}|> the {thing} is {colour} now, as asked.")
    semantic = {
        "edit_region": regions,
        "reasoning": " ".join([*sentences, f"<|global|> the rest is as it was ({number})."]),
        "score": draw.integers(0, 26, 2).tolist(),
    }
    fault = str(draw.choice(_COLOURS))
    perceptual = {
        "reasoning": f"a {fault} edge is hard, number {number} is clean ✨ otherwise.",
        "score": draw.integers(0, 26, 2).tolist(),
    }
    names = {"source": f"{number}-source.png", "edited": f"{number}-edited.png"}
    source.save(folder / names["source"])
    edited.save(folder / names["edited"])
    return {
        "id": f"edit-{number}",
        "instruction": f"Paint {', '.join(one['label'] for one in regions)}.",
        "sc": json.dumps(semantic, ensure_ascii=False),
        "pq": json.dumps(perceptual, ensure_ascii=False),
        **names,
    }


def _box(cell: int, draw: np.random.Generator) -> list[int]:
    """A box in 0..1000 within a quarter of the picture, in round numbers like people's."""
    left, top = cell % 2 * 500, cell // 2 * 500
    x1, y1 = (20 * draw.integers(2, 6, 2)).tolist()
    x2, y2 = (20 * draw.integers(18, 24, 2)).tolist()
    return [left + x1, top + y1, left + x2, top + y2]


def _said(judgement: "Judgement | None") -> Sequence[object]:
    """The full content of both answers."""
    if judgement is None or judgement.scores is None:
        return ()
    scores = [round(one) for one in judgement.scores.given().values()]
    return [judgement.regions, judgement.sc_reasoning, judgement.pq_reasoning, scores]
