import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialreward.data.filters.config import DuplicateRules
from spatialreward.data.filters.duplicates import (
    exact_duplicates,
    near_duplicates,
    repeated_reasoning,
)
from spatialreward.data.filters.facts import facts_table
from spatialreward.data.filters.fingerprints import fingerprint
from spatialreward.data.filters.reasons import Reason

REAL_EDITS = Path(__file__).parents[4] / "shared/data/real_edits"
RULES = DuplicateRules()


def painting(seed: int) -> Image.Image:
    samples = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(samples).resize((128, 128), Image.Resampling.BICUBIC)


def reencoded(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.resize((90, 90)).save(buffer, "JPEG", quality=60)
    return Image.open(buffer).convert("RGB")


def bits(picture: Image.Image) -> int:
    return int(fingerprint(picture), 16)


def test_the_first_of_exact_duplicates_stays(facts):
    table = facts_table([facts(0), facts(1, digest=b"\1" * 16), facts(2, digest=b"\1" * 16)])
    left_out = exact_duplicates(table)
    assert list(left_out) == ["e2"]
    assert left_out["e2"] == (Reason.EXACT_DUPLICATE, "of edit e1")


def test_as_many_exact_duplicates_go_in_any_order(facts):
    edits = [facts(number, digest=bytes([number % 3] * 16)) for number in range(9)]
    assert len(exact_duplicates(facts_table(edits))) == 6
    assert len(exact_duplicates(facts_table(reversed(edits)))) == 6


def test_reencoded_and_resized_pictures_with_the_same_words_are_duplicates(facts):
    table = facts_table(
        [
            facts(0, "Make the cat red", sources=[bits(painting(1))], edited=bits(painting(2))),
            facts(
                1,
                "make a cat red!",
                sources=[bits(reencoded(painting(1)))],
                edited=bits(reencoded(painting(2))),
            ),
        ]
    )
    left_out = near_duplicates(table, RULES)
    assert left_out["e1"].reason is Reason.NEAR_DUPLICATE
    assert left_out["e1"].detail.startswith("of edit e0: hashes differ in")


@pytest.mark.parametrize(
    "other",
    [
        {"instruction": "make it rain"},
        {"edited": 0xFFFF},
        {"sources": [0xFFFF]},
        {"sources": [0, 0]},
        {"edited": None},
        {"editor": "kontext"},
        {"success": 24.0},
    ],
)
def test_edits_that_differ_in_one_thing_are_no_duplicates(facts, other):
    one = facts(0, sources=[0], edited=0, success=3.0)
    assert list(near_duplicates(facts_table([one, one._replace(id="e1")]), RULES)) == ["e1"]
    assert near_duplicates(facts_table([one, one._replace(id="e1", **other)]), RULES) == {}


def test_an_edited_picture_near_to_its_source_is_no_duplicate_of_it(facts):
    edits = [
        facts(number, sources=[number << 40], edited=number << 40) for number in (0, 2**20 - 1)
    ]
    assert near_duplicates(facts_table(edits), RULES) == {}


def test_prompts_are_compared_by_their_sources(facts):
    prompts = [facts(0, sources=[0], edited=None), facts(1, sources=[1], edited=None)]
    assert list(near_duplicates(facts_table(prompts), RULES)) == ["e1"]


def test_real_edits_are_no_duplicates_of_each_other_or_of_themselves(facts):
    if not REAL_EDITS.is_dir():
        pytest.skip("needs ../shared/data/real_edits")
    edits = []
    for number, source in enumerate(sorted(REAL_EDITS.glob("*_source.jpg"))):
        edited = source.with_name(source.name.replace("_source", "_edited"))
        hashes = [bits(Image.open(path).convert("RGB")) for path in (source, edited)]
        edits.append(facts(number, sources=hashes[:1], edited=hashes[1]))
    assert len(edits) == 6
    assert near_duplicates(facts_table(edits), RULES) == {}


def test_reasoning_may_be_repeated_as_often_as_the_setting_says(facts):
    edits = [facts(number, reasoning=7) for number in range(5)]
    edits += [facts(5, reasoning=8), facts(6), facts(7)]
    left_out = repeated_reasoning(facts_table(edits), 3)
    assert list(left_out) == ["e3", "e4"]
    assert left_out["e3"].reason is Reason.REPEATED_REASONING
