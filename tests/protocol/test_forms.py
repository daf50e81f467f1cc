import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spatialreward.errors import Failure, InvalidInputError, JudgementError
from spatialreward.protocol.choice import BY_NAME, in_form
from spatialreward.protocol.parsing import (
    PerceptualAnswer,
    SemanticAnswer,
    parse_perceptual,
    parse_semantic,
)
from spatialreward.protocol.prompts import FULL, PROTOCOL_FILE, TINY, Protocol
from spatialreward.protocol.rendering import answer_parts, render_perceptual, render_semantic
from spatialreward.records import AnswerForm, EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.world.shipped import SHIPPED_BASE

FORMS = (AnswerForm.REGIONS, AnswerForm.REASONING, AnswerForm.SCORES)
HAT = EditRegion(id=0, label="red hat", bbox_2d=(10, 10, 200, 200))
SKY = EditRegion(id=7, label="sky", bbox_2d=(0, 0, 1000, 90))
ANSWER = SemanticAnswer(
    edit_region=(HAT, SKY),
    reasoning="<|bbox_0|> The hat is red. <|bbox_7|> The sky is left alone. <|global|> All done.",
    score=(22, 24),
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MARKS = st.sampled_from(["<|bbox_0|>", "<|bbox_7|>", "<|global|>", "<|bbox_", "0|>", ". ", ": "])
TEXTS = st.lists(WORDS | MARKS, max_size=8).map("".join)
SCORES = st.tuples(*[st.integers(0, 25) | st.floats(0, 25)] * 2)
SEMANTIC = st.builds(
    lambda labels, reasoning, score: SemanticAnswer(
        edit_region=[HAT.model_copy(update={"label": labels[0]}), SKY],
        reasoning=reasoning,
        score=score,
    ),
    st.tuples(TEXTS),
    TEXTS,
    SCORES,
)


@given(answer=SEMANTIC, form=st.sampled_from(FORMS))
def test_a_form_of_an_answer_is_read_from_what_is_written_of_it(answer, form):
    text = render_semantic(answer, form)
    read = parse_semantic(text, allowed=(), form=form)
    assert read == answer.in_form(form)
    assert render_semantic(read, form) == text
    for other in set(FORMS) - {form}:
        with pytest.raises(JudgementError):
            parse_semantic(text, form=other)


@given(reasoning=TEXTS, score=SCORES, form=st.sampled_from(FORMS))
def test_the_other_stream_has_reasoning_or_scores_alone(reasoning, score, form):
    answer = PerceptualAnswer(reasoning=reasoning, score=score)
    text = render_perceptual(answer, form)
    read = parse_perceptual(text, allowed=(), form=form)
    assert read == answer.in_form(form)
    assert (read == answer) is (form.has_reasoning or not reasoning)


def test_each_form_has_its_keys_in_order():
    def keys(text):
        return list(json.loads(text))

    assert [keys(render_semantic(ANSWER, form)) for form in FORMS] == [
        ["edit_region", "reasoning", "score"],
        ["reasoning", "score"],
        ["score"],
    ]
    perceptual = PerceptualAnswer(reasoning="clean", score=(25, 25))
    assert [keys(render_perceptual(perceptual, form)) for form in FORMS] == [
        ["reasoning", "score"],
        ["reasoning", "score"],
        ["score"],
    ]


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        (AnswerForm.REGIONS, ["regions", "reasoning", "scores"]),
        (AnswerForm.REASONING, ["reasoning", "scores"]),
        (AnswerForm.SCORES, ["scores"]),
    ],
)
def test_each_form_has_its_parts_from_its_first_character(form, parts):
    result = ANSWER.model_copy(update={"reasoning": 'a "score": [1] and "edit_region": []'})
    found = answer_parts(render_semantic(result, form))
    assert [one.part for one in found] == parts
    assert found[0].at == 0


@pytest.mark.parametrize(
    ("written", "form", "foreign"),
    [
        (AnswerForm.REGIONS, AnswerForm.SCORES, "edit_region"),
        (AnswerForm.REGIONS, AnswerForm.REASONING, "edit_region"),
        (AnswerForm.REASONING, AnswerForm.SCORES, "reasoning"),
    ],
)
def test_an_answer_that_says_more_than_its_form_is_refused(written, form, foreign):
    with pytest.raises(JudgementError, match=f"^{foreign}: the form {form} has none") as refused:
        parse_semantic(render_semantic(ANSWER, written), form=form)
    assert refused.value.failure is Failure.WRONG_FORM


@pytest.mark.parametrize(
    ("written", "form"),
    [
        (AnswerForm.REASONING, AnswerForm.REGIONS),
        (AnswerForm.SCORES, AnswerForm.REGIONS),
        (AnswerForm.SCORES, AnswerForm.REASONING),
    ],
)
def test_an_answer_that_says_less_than_its_form_is_refused(written, form):
    with pytest.raises(JudgementError, match="Field required") as refused:
        parse_semantic(render_semantic(ANSWER, written), form=form)
    assert refused.value.failure in (Failure.WRONG_FORM, Failure.WRONG_REGIONS)


def test_a_stray_mark_in_plain_prose_is_mended_where_that_is_allowed():
    text = '{"reasoning": "<|bbox_0|> The hat is red.", "score": [22, 24]}'
    assert parse_semantic(text, form=AnswerForm.REASONING).reasoning == "The hat is red."
    with pytest.raises(JudgementError, match="needs mending"):
        parse_semantic(text, allowed=(), form=AnswerForm.REASONING)


def test_a_judgement_in_a_form_without_regions_has_none():
    scores = Scores(naturalness=3, artifact_freedom=4)
    known = {"status": JudgementStatus.OK, "scores": scores, "reward": 0.1}
    with pytest.raises(ValidationError, match="in the form scores has no regions"):
        Judgement(regions=(HAT,), answer=AnswerForm.SCORES, **known)


@pytest.mark.parametrize("form", FORMS)
def test_a_judgement_says_its_form_where_older_readers_know_none(form):
    judgement = Judgement.failed("cut", Failure.CUT_OFF).model_copy(update={"answer": form})
    written = judgement.model_dump_json()
    assert ("answer" in json.loads(written)) is (form is not AnswerForm.REGIONS)
    assert Judgement.model_validate_json(written) == judgement


def test_protocols_that_were_there_before_are_what_they_were(tmp_path):
    assert (FULL.reference, TINY.reference) == ("full@6e711caa88a6", "tiny@ab25de332a5b")
    TINY.write(tmp_path)
    written = (tmp_path / PROTOCOL_FILE).read_bytes()
    assert written == (SHIPPED_BASE / PROTOCOL_FILE).read_bytes()
    assert Protocol.read(SHIPPED_BASE).answer is AnswerForm.REGIONS


@pytest.mark.parametrize("family", ["full", "tiny"])
@pytest.mark.parametrize("form", FORMS)
def test_each_family_has_a_protocol_of_each_form(tmp_path, family, form):
    protocol = in_form(family, form)
    assert protocol.name == (family if form is AnswerForm.REGIONS else f"{family}-{form}")
    assert BY_NAME[protocol.name] == protocol
    protocol.write(tmp_path)
    assert Protocol.read(tmp_path) == protocol
    assert len({one.reference for one in BY_NAME.values()}) == len(BY_NAME)


@pytest.mark.parametrize("form", FORMS)
def test_the_prompt_for_large_models_asks_for_the_keys_of_its_form(form):
    protocol = in_form("full", form)
    semantic = render_semantic(ANSWER, form)
    perceptual = render_perceptual(PerceptualAnswer(reasoning="a", score=(1, 2)), form)
    for prompt, text in ((protocol.semantic, semantic), (protocol.perceptual, perceptual)):
        asked = [key for key in ("edit_region", "reasoning", "score") if f'"{key}":' in prompt]
        assert asked == list(json.loads(text))


def test_a_protocol_file_with_an_unknown_form_is_named(tmp_path):
    text = TINY.model_dump_json().replace('"perceptual"', '"answer": "verses", "perceptual"')
    (tmp_path / PROTOCOL_FILE).write_text(text)
    with pytest.raises(InvalidInputError, match=r"protocol\.json: answer: .*'regions'.*'verses'"):
        Protocol.read(tmp_path)
