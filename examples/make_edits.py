"""Writes the edits of this folder: pictures of the generated world, and the files that name them.

    python examples/make_edits.py examples

``edits.jsonl`` has four edits as the world draws them, ``smoke.jsonl`` the first two of them, and
``probes.jsonl`` five attempts at what each of the four asks for, from right to untouched.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from spatialreward.images import encode_png
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.rendering import paint, to_image
from spatialreward.world.samples import SceneSample
from spatialreward.world.sampling import CannotDrawError, Grade, draw_edited_scene

WORLD = DataConfig(seed=21)
NUM_EDITS = 4
NUM_SMOKE_EDITS = 2
GRADES: tuple[Grade, ...] = ("right", "partial", "wrong attribute", "over-edited", "untouched")
PICTURES = "pictures"


def write_examples(out: Path) -> None:
    """Write pictures and the three files into a folder."""
    (out / PICTURES).mkdir(parents=True, exist_ok=True)
    samples = dict(enumerate(draw_samples(WORLD, "train", NUM_EDITS), start=1))
    edits, probes = [], []
    for number, sample in samples.items():
        source, edited = f"{PICTURES}/{number}-source.png", f"{PICTURES}/{number}-edited.png"
        (out / source).write_bytes(sample.source)
        (out / edited).write_bytes(sample.edited)
        edits.append(_line(f"{number}", source, edited, sample.instruction))
        for grade, picture in attempts(sample):
            name = f"{number}-{grade.replace(' ', '-')}"
            attempt = f"{PICTURES}/{name}.png"
            (out / attempt).write_bytes(picture)
            probes.append(_line(name, source, attempt, sample.instruction))
    _write_lines(out / "edits.jsonl", edits)
    _write_lines(out / "smoke.jsonl", edits[:NUM_SMOKE_EDITS])
    _write_lines(out / "probes.jsonl", probes)


def attempts(sample: SceneSample) -> Iterator[tuple[Grade, bytes]]:
    """Edits of a sample's source, one of each grade that its request leaves room for, as PNG."""
    world = sample.world
    for number, grade in enumerate(GRADES):
        rng = np.random.default_rng((WORLD.seed, number, *sample.id.encode()))
        try:
            scene = draw_edited_scene(rng, world.source, world.operations, grade)
        except CannotDrawError:
            continue
        size = WORLD.picture_size
        yield grade, encode_png(to_image(paint(scene, world.look, size, size, None)))


def _line(name: str, source: str, edited: str, instruction: str) -> dict[str, str]:
    return {"id": name, "source": source, "edited": edited, "instruction": instruction}


def _write_lines(path: Path, edits: Iterable[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(edit) + "\n" for edit in edits))


def main() -> None:
    """Parse the arguments and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder of the files")
    write_examples(parser.parse_args().out)


if __name__ == "__main__":
    main()
