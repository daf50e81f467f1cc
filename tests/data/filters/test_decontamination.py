import io

import numpy as np
import pytest
from PIL import Image

from spatialreward.data.edits import LabelledEdit, RowOrigin
from spatialreward.data.filters.config import BenchmarkRules
from spatialreward.data.filters.decontamination import (
    BenchmarkIndex,
    BenchmarkItem,
    benchmark_overlaps,
)
from spatialreward.data.filters.facts import facts_table
from spatialreward.data.filters.fingerprints import fingerprint
from spatialreward.data.filters.reasons import Reason
from spatialreward.errors import InvalidInputError

RULES = BenchmarkRules()
LONG = (
    "replace the wooden fence behind the two children with a low stone wall overgrown by ivy "
    "and white roses"
)


def painting(seed: int) -> Image.Image:
    samples = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(samples).resize((160, 120), Image.Resampling.BICUBIC)


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def reencoded(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.resize((97, 73)).save(buffer, "JPEG", quality=60)
    return Image.open(buffer).convert("RGB")


def bits(picture: Image.Image) -> int:
    return int(fingerprint(picture), 16)


def task(id: str, picture: bytes, instruction: str = "make it snow") -> LabelledEdit:
    return LabelledEdit(
        id=id,
        instruction=instruction,
        sources=(picture,),
        edited=None,
        origin=RowOrigin(file="bench", row=id),
    )


def index_of(instruction: str, *hashes: int) -> BenchmarkIndex:
    item = BenchmarkItem(
        benchmark="bench",
        id="1",
        instruction=instruction,
        fingerprints=tuple(f"{number:016x}" for number in hashes),
    )
    return BenchmarkIndex(items=(item,))


def test_a_reencoded_and_resized_benchmark_picture_is_found_wherever_it_is(facts):
    index = BenchmarkIndex.of("bench", [task(str(n), png(painting(n))) for n in range(20)])
    again = bits(reencoded(painting(7)))
    table = facts_table(
        [
            facts(0, "add a cat", sources=[again]),
            facts(1, "add a cat", edited=again),
            facts(2, "add a cat", sources=[5, again], edited=None),
            facts(3, "add a cat", sources=[bits(painting(100))], edited=bits(painting(101))),
        ]
    )
    left_out = benchmark_overlaps(table, index, RULES)
    assert sorted(left_out) == ["e0", "e1", "e2"]
    assert left_out["e0"].reason is Reason.BENCHMARK_OVERLAP
    assert left_out["e0"].detail.startswith("a picture of bench 7 ")


def test_a_missing_edited_picture_is_not_taken_for_a_black_one(facts):
    table = facts_table([facts(0, "add a cat", edited=None)])
    assert benchmark_overlaps(table, index_of("add a dog", 0), RULES) == {}


def test_a_short_instruction_alone_is_everybodys(facts):
    table = facts_table([facts(0, "make it snow")])
    assert benchmark_overlaps(table, index_of("Make it snow.", 0), RULES) == {}


def test_a_short_instruction_counts_beside_a_picture_that_is_roughly_the_benchmarks(facts):
    rough = 0b1111111111
    index = index_of("Make it snow.", 0)
    table = facts_table([facts(0, "make it snow", sources=[rough]), facts(1, sources=[rough << 1])])
    assert sorted(benchmark_overlaps(table, index, RULES)) == ["e0", "e1"]
    table = facts_table([facts(0, "make it rain", sources=[rough])])
    assert benchmark_overlaps(table, index, RULES) == {}
    table = facts_table([facts(0, "make it snow", sources=[rough << 1 | 1])])
    assert benchmark_overlaps(table, index, RULES) == {}


def test_a_long_instruction_counts_alone_also_inside_a_longer_one(facts):
    table = facts_table(
        [
            facts(0, LONG.upper() + "!"),
            facts(1, f"Please {LONG}, and keep the light."),
            facts(2, LONG.replace("stone", "brick")),
            facts(3, "replace the wooden fence behind the two children with a hedge"),
        ]
    )
    left_out = benchmark_overlaps(table, index_of(LONG, 0), RULES)
    assert sorted(left_out) == ["e0", "e1"]
    assert "instruction of bench 1" in left_out["e0"].detail


def test_an_empty_index_rejects_nothing(facts):
    assert benchmark_overlaps(facts_table([facts(0)]), BenchmarkIndex(), RULES) == {}
    assert benchmark_overlaps(facts_table([]), index_of("x", 1), RULES) == {}


def test_an_index_survives_being_written(tmp_path):
    index = index_of("Mach es „weiß“", 1, 2**64 - 1) + index_of("make it snow", 3)
    index.write(tmp_path / "index.json")
    assert BenchmarkIndex.read(tmp_path / "index.json") == index
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ('{"items": [', "Invalid JSON"),
        ('{"items": [{"benchmark": "b"}]}', "Field required"),
        (
            '{"items": [{"benchmark": "b", "id": "1", "instruction": "", "fingerprints": ["x"]}]}',
            "16 hexadecimal digits",
        ),
    ],
)
def test_an_index_that_cannot_be_read_is_named(tmp_path, text, words):
    path = tmp_path / "index.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInputError, match=words) as caught:
        BenchmarkIndex.read(path)
    assert str(path) in str(caught.value)


def test_a_benchmark_picture_that_cannot_be_read_is_an_error():
    with pytest.raises(InvalidInputError, match="bench 3: picture source: is not a picture"):
        BenchmarkIndex.of("bench", [task("3", b"no picture")])


def test_small_and_long_benchmark_pictures_are_in_the_index_too():
    index = BenchmarkIndex.of("bench", [task("1", png(painting(1).resize((20, 300))))])
    assert len(index.items[0].fingerprints) == 1
