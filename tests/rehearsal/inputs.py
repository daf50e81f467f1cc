"""What a rehearsal reads: edits on disk, a Qwen3-VL without a past, editors, a bad teacher."""

import itertools
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.bench.random_judge import Shape, Tower, write_random_judge
from spatialreward.data.dataset import Dataset
from spatialreward.data.views import sft_conversations
from spatialreward.images import encode_png
from spatialreward.protocol.prompts import FULL
from spatialreward.training.base import Base
from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig
from spatialreward.training.conversations import answer_of
from spatialreward.training.sft import train_judge
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig, Split
from spatialreward.world.drawing import draw_samples
from spatialreward.world.random_editors import write_kontext, write_qwen_edit
from spatialreward.world.random_omnigen2 import write_omnigen2
from tests.data.teacher.teacher_server import Asked, Reaction, annotation, fails, says, well

SEED = 23
COLUMNS = {"sources": ["source"], "edited": "edited", "instruction": "instruction", "id": ["id"]}
_SHAPE = Shape(
    language=Tower(width=128, mlp_width=384, layers=4, heads=4),
    vision=Tower(width=96, mlp_width=256, layers=2, heads=3),
    vocabulary=1_024,
    patch_px=8,
    pixels=(4_096, 9_216),
    initializer_range=0.08,
)
_WORDS = (
    "the request was carried out and all else was left as it was",
    "half of what was asked for is there",
    "nothing of the request can be seen in the edited picture",
    "too much was changed beside what was asked for",
)


def write_edits(folder: Path, count: int, split: Split, real: Path | None = None) -> None:
    """Write edits as other people's data sets have them: JSON Lines and pictures, no labels.

    Args:
        folder: new.
        count: of all edits.
        split: of the generated world, which gives what ``real`` does not.
        real: JSON Lines of real edits, which come first; their pictures stay where they are.
    """
    folder.mkdir(parents=True)
    rows = [] if real is None else _real_rows(real)[:count]
    drawn = draw_samples(DataConfig(seed=SEED, picture_size=96), split, count - len(rows))
    for number, sample in enumerate(drawn):
        names = {kind: f"{number}-{kind}.png" for kind in ("source", "edited")}
        for name, picture in zip(names.values(), sample.images(), strict=True):
            (folder / name).write_bytes(encode_png(picture))
        rows.append({"id": f"world-{number}", "instruction": sample.instruction, **names})
    lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    (folder / "edits.jsonl").write_text(lines, encoding="utf-8")


def _real_rows(path: Path) -> list[dict[str, str]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    folder = path.parent.absolute()
    return [
        {"id": row["id"], "instruction": row["instruction"]}
        | {kind: str(folder / row[kind]) for kind in ("source", "edited")}
        for row in rows
    ]


def make_models(folder: Path, num_steps: int) -> None:
    """Make ``folder/base``, a judge that has learned to answer at all, and editors.

    Public weights know how to write; random ones are taught it by ``num_steps`` steps on the
    generated world. The editors are ``omnigen2``, ``kontext`` and ``qwen``, of random weights.
    """
    build_shard(DataConfig(seed=SEED, num_train=96, num_shards=1), "train", 0, folder / "world")
    world = Dataset(folder / "world")
    made = [sft_conversations(edit, FULL) for edit in world]
    texts = [answer_of(one) for one in itertools.chain.from_iterable(made)]
    # The prompts are of whole words, as in a large vocabulary.
    texts += [FULL.semantic, FULL.perceptual] * 8 + [edit.instruction for edit in world]
    write_random_judge(folder / "random", _SHAPE, [*texts, *_WORDS], seed=SEED)
    writing = JudgeTrainingConfig(
        num_samples=num_steps * 8,
        perceptual_share=0.5,
        protocol="full",
        optimiser=OptimiserConfig(
            matrices="muon",
            learning_rate=3e-3,
            precision="fastest",
            weight_decay=0.0,
            warmup_steps=10,
            batch_size=8,
        ),
    )
    base = Base(folder / "random", "random weights")
    train_judge(base, writing, world, folder / "base", lambda metrics, step: None)
    write_omnigen2(folder / "omnigen2", SEED)
    write_kontext(folder / "kontext", SEED)
    write_qwen_edit(folder / "qwen", plus=True, seed=SEED)


def often_wrong() -> tuple[Callable[[Asked], Reaction], list[str]]:
    """A teacher of whose answers every third is of no use, each in another way.

    Returns its plan, and a list that grows by the kind of every useless answer.
    """
    faults: Sequence[tuple[str, Callable[[Asked], Reaction]]] = (
        ("busy", lambda asked: fails(429, "slow down")),
        ("broken", lambda asked: fails(500)),
        ("cut off", lambda asked: Reaction(_answer(asked).body, cut_at=40)),
        ("no JSON", lambda asked: says("I would rather not say.")),
        ("other regions", lambda asked: says(annotation(asked, regions=[], dropped=[99]))),
        ("refusal", lambda asked: says(None, refusal="I cannot help with that.")),
    )
    kinds = itertools.cycle(faults)
    numbers = itertools.count(1)
    made: list[str] = []

    def plan(asked: Asked) -> Reaction:
        if next(numbers) % 3:
            return _answer(asked)
        kind, react = next(kinds)
        made.append(kind)
        return react(asked)

    return plan, made


def _answer(asked: Asked) -> Reaction:
    """Well formed, and of another opinion on each edited picture."""
    if asked.stage != "annotate":
        return well(asked)
    opinion = zlib.crc32(asked.pictures[-1].encode()) % len(_WORDS)
    success = (24, 14, 2, 21)[opinion]
    scores = {"editing_success": success, "over_editing": (23, 20, 24, 6)[opinion]}
    return says(annotation(asked, verdict=_WORDS[opinion], **scores))
