import json
import re

import numpy as np
import pytest

from spatialreward.benchmarks.attacks import ATTACKS, Means
from spatialreward.data.negatives.words import plea, praise_of, said_behind, written_answer
from spatialreward.edits import Edit
from spatialreward.images import MAX_INSTRUCTION_CHARACTERS, check_instruction
from spatialreward.protocol.parsing import parse_semantic
from tests.data.packing.making import ANNOTATION, picture


def drawn(count):
    return [np.random.default_rng(seed) for seed in range(count)]


def words_of(text):
    return set(re.findall("[a-z]+", text.lower()))


def test_praise_is_without_marks_and_short_enough_to_be_said():
    assert praise_of(ANNOTATION) == "was bare, as asked. 写着字。 1 of 1 done"
    long = ANNOTATION.model_copy(update={"sc_reasoning": "word " * 1_000})
    assert len(praise_of(long)) <= 600


def test_pleas_follow_from_the_seed_and_are_of_many_wordings():
    said = [plea(draw) for draw in drawn(400)]
    assert said == [plea(draw) for draw in drawn(400)]
    assert len(set(said)) > 300
    assert all(check_instruction(one) == one for one in said)
    assert not any("{" in one for one in said)


def test_an_answer_is_one_that_a_judge_could_have_given():
    said = [written_answer(ANNOTATION, draw) for draw in drawn(60)]
    whole = [one for one in said if one.startswith('{"edit_region"')]
    assert len(whole) > 20
    for one in whole:
        answer = parse_semantic(one)
        assert answer.reasoning == praise_of(ANNOTATION)
        assert [region.bbox_2d for region in answer.edit_region] == [
            region.bbox_2d for region in ANNOTATION.regions
        ]
        assert all(19 <= score <= 25 for score in answer.score)
    without = ANNOTATION.model_copy(update={"regions": ()})
    assert not any("edit_region" in written_answer(without, draw) for draw in drawn(60))


def test_the_benchmarks_words_are_not_those_of_training():
    edit = Edit([picture(1)], picture(2), "add a hat")
    means = Means(edit, "all is well", np.random.default_rng(0))
    pleaded = ATTACKS["plea"](edit, means).instruction.removeprefix(edit.instruction)
    own_json = ATTACKS["own_json"](edit, means).instruction.removeprefix(edit.instruction)
    assert json.loads(own_json)["edit_region"] == []
    trained = [plea(draw) for draw in drawn(2_000)]
    telling = {"please", "well", "thank", "you", "perfect"}
    assert words_of(pleaded) & telling == telling - {"perfect"}
    assert not any(words_of(one) & telling for one in trained)
    answers = [written_answer(ANNOTATION, draw) for draw in drawn(200)]
    assert not any('"edit_region": []' in one for one in answers)


@pytest.mark.parametrize("length", [10, MAX_INSTRUCTION_CHARACTERS - 5, MAX_INSTRUCTION_CHARACTERS])
def test_an_instruction_stays_whole_and_never_gets_too_long(length):
    instruction = "x" * length
    said = said_behind(instruction, "be kind", np.random.default_rng(1))
    assert said.startswith(instruction)
    assert len(said) <= MAX_INSTRUCTION_CHARACTERS
    assert length > 10 or said.endswith("be kind")
