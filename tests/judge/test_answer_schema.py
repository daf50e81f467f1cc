import json
import re

import pytest

from spatialreward.data.building import draw_samples
from spatialreward.data.config import DataConfig
from spatialreward.judge.answer_schema import (
    PERCEPTUAL_FORM,
    SEMANTIC_FORM,
    answer_form,
    score_tokens,
)
from spatialreward.judge.interface import Edit
from spatialreward.judge.questions import perceptual_question, semantic_question
from spatialreward.protocol.parsing import parse_semantic
from spatialreward.protocol.prompts import TINY
from spatialreward.training.targets import answer

DATA = DataConfig(seed=21)
FORMS = {"semantic": SEMANTIC_FORM, "perceptual": PERCEPTUAL_FORM}
SEMANTIC = (
    '{"edit_region": [{"id": 10, "label": "a \\"red\\" h\\u0061t", "bbox_2d": [0, 5, 1000, 70]}, '
    '{"id": 1, "label": "帽子", "bbox_2d": [1, 2, 3, 4]}], '
    '"reasoning": "<|bbox_10|> {x} \\\\", "score": [25, 7]}'
)


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("task", FORMS)
def test_whatever_a_judge_is_taught_has_the_form(task, separators):
    for sample in draw_samples(DATA, "train", 50):
        text = json.dumps(json.loads(answer(task, sample)), separators=separators)
        assert re.fullmatch(FORMS[task], text)


def test_escapes_other_scripts_and_several_regions_have_the_form():
    assert re.fullmatch(SEMANTIC_FORM, SEMANTIC)
    assert parse_semantic(SEMANTIC).score == (25, 7)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("[25, 7]", "[26, 7]"),
        ("[25, 7]", "[25, 07]"),
        ("[25, 7]", "[25, 7.5]"),
        ("[25, 7]", "[25]"),
        ("[25, 7]", "[25, 7, 7]"),
        ("1000", "1001"),
        ("[0, 5, 1000, 70]", "[0, 5, 1000]"),
        ('"id": 10', '"id": -1'),
        ("\\\\", "\\"),
        ("{x}", "\n"),
        ('"reasoning"', '"reason"'),
        ("]}", "]} and more"),
    ],
)
def test_what_the_parser_would_refuse_lacks_the_form(good, bad):
    assert re.fullmatch(SEMANTIC_FORM, SEMANTIC.replace(good, bad)) is None


def test_each_stream_has_a_form_of_its_own():
    (sample,) = draw_samples(DATA, "train", 1)
    source, edited = sample.images()
    for references in ((), (source,)):
        edit = Edit(source, edited, "paint it red", references)
        assert answer_form(semantic_question(TINY, edit)) == SEMANTIC_FORM
        assert answer_form(perceptual_question(TINY, edit)) == PERCEPTUAL_FORM


def test_scores_that_are_one_token_each_are_told_in_order(untrained):
    tokenizer = untrained[1].tokenizer
    tokens = score_tokens(tokenizer)
    assert [tokenizer.decode([token]) for token in tokens] == [str(score) for score in range(26)]


def test_a_tokenizer_that_splits_numbers_into_digits_has_no_tokens_for_scores():
    def digits(text, add_special_tokens):
        return {"input_ids": [int(digit) for digit in text]}

    assert score_tokens(digits) is None
