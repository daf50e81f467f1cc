import json
import re

import pytest

from spatialreward.edits import Edit
from spatialreward.judges.questions import Question, perceptual_question, semantic_question
from spatialreward.judges.qwen_vl.answer_schema import (
    PERCEPTUAL_FORM,
    SEMANTIC_FORM,
    answer_form,
    answer_forms,
)
from spatialreward.protocol.parsing import parse_semantic
from spatialreward.protocol.prompts import TINY
from spatialreward.records import AnswerForm
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.targets import answer

DATA = DataConfig(seed=21)
WRITTEN = (AnswerForm.REGIONS, AnswerForm.REASONING, AnswerForm.SCORES)
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
        for question, form in (
            (semantic_question(TINY, edit), SEMANTIC_FORM),
            (perceptual_question(TINY, edit), PERCEPTUAL_FORM),
        ):
            assert answer_form(question).endswith(form)


def test_answers_over_several_lines_have_the_form():
    assert re.fullmatch(SEMANTIC_FORM, json.dumps(json.loads(SEMANTIC), indent=2))
    spaced = json.dumps(json.loads(SEMANTIC), separators=(" , ", " : "), ensure_ascii=False)
    assert re.fullmatch(SEMANTIC_FORM, spaced)


@pytest.mark.parametrize("thought", ["", "<think>\n\n</think>\n\n", "<think>a < {b}</think>"])
def test_a_thought_may_stand_before_the_answer(thought):
    (sample,) = draw_samples(DATA, "train", 1)
    question = semantic_question(TINY, Edit(*sample.images(), "paint it red"))
    assert re.fullmatch(answer_form(question), thought + SEMANTIC)
    assert not re.fullmatch(answer_form(question), f"Well: {SEMANTIC}")


def test_a_thought_that_the_prompt_began_has_to_end():
    (sample,) = draw_samples(DATA, "train", 1)
    question = semantic_question(TINY, Edit(*sample.images(), "paint it red"))
    form = answer_form(question, thinking=True)
    assert re.fullmatch(form, f"so {{it}} is</think>{SEMANTIC}")
    assert not re.fullmatch(form, SEMANTIC)


@pytest.mark.parametrize("form", WRITTEN)
def test_each_form_of_an_answer_fits_its_own_pattern_alone(form):
    (sample,) = draw_samples(DATA, "train", 1)
    edit = Edit(*sample.images(), "paint it red")
    for other in WRITTEN:
        protocol = TINY.model_copy(update={"answer": other})
        is_same = {
            "semantic": form is other,
            "perceptual": form.has_reasoning is other.has_reasoning,
        }
        for task, ask in (("semantic", semantic_question), ("perceptual", perceptual_question)):
            pattern = answer_form(ask(protocol, edit))
            assert bool(re.fullmatch(pattern, answer(task, sample, form))) is is_same[task]
    assert answer_form(Question((edit.source, "what is it?"))) is None


@pytest.mark.parametrize(("form", "count"), list(zip(WRITTEN, (2, 1, 1), strict=True)))
def test_a_pattern_that_both_streams_share_is_compiled_once(form, count):
    assert len(set(answer_forms(form))) == len(answer_forms(form)) == count
