import pytest

from spatialreward.errors import Failure, InvalidInputError, JudgementError
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.formats import AnswerFormat, ScoreScale
from spatialreward.protocol.importing import PublicJudge, import_protocol
from spatialreward.protocol.prompts import FULL, TINY, Protocol
from spatialreward.protocol.public_answers import read_public
from spatialreward.records import AnswerForm, Mending, Scores, Streams
from tests.protocol.public_checkouts import write_checkout

BOTH = Streams.BOTH
CRITIQUE = """# User Request Analysis
They want a dog. Text Faithfulness: matters.
# Detailed Judgement
1. Text Faithfulness:
## Justification: a cat came
## Score: {text}
2. Image Faithfulness:
## Justification: all kept
## Score: {image}
3. **Physical and Visual Quality**:
## Justification: fine
## Score: **{physical}**
4. Text Rendering:
## Justification: none asked for
## Score: {rendering}
# Summary: a cat
1. Text Faithfulness:
## Score: 1
"""


@pytest.fixture
def firm(tmp_path):
    return import_protocol(write_checkout(tmp_path, PublicJudge.FIRM_EDIT))


@pytest.fixture
def rational(tmp_path):
    return import_protocol(write_checkout(tmp_path, PublicJudge.RATIONALREWARDS))


@pytest.fixture
def viescore(tmp_path):
    return import_protocol(write_checkout(tmp_path, PublicJudge.VIESCORE))


def critique(text="3", image="4.0", physical="2.5", rendering="N/A"):
    return CRITIQUE.format(text=text, image=image, physical=physical, rendering=rendering)


def one_each(first, second):
    return {Streams.SEMANTIC: first, Streams.PERCEPTUAL: second}


def test_execution_counts_as_far_as_the_rest_was_kept(firm):
    texts = one_each('{"reasoning": "done", "score": [4]}', '{"reasoning": "kept", "score": 2}')
    judgement = read_public(firm, texts, BOTH)
    assert judgement.scores == Scores(editing_success=20.0, over_editing=10.0)
    # As published: 4/5 * (0.6 + 0.4 * 2/5).
    assert judgement.reward == pytest.approx(0.8 * 0.76)
    assert judgement.sc_reasoning == "done\nkept"
    assert judgement.answer is AnswerForm.REASONING


def test_one_score_is_mended_by_name(firm):
    texts = one_each('Sure: {"reasoning": "a", "score": ["5"],}', '{"score": [5]}')
    judgement = read_public(firm, texts, BOTH)
    assert judgement.reward == 1.0
    assert judgement.mended == (
        Mending.WORDS_AROUND,
        Mending.TRAILING_COMMA,
        Mending.QUOTED_NUMBER,
    )
    strict = firm.model_copy(update={"mendings": ()})
    with pytest.raises(JudgementError, match=r"needs mending \(words_around\)"):
        read_public(strict, texts, BOTH)


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("", Failure.NO_ANSWER),
        ("I cannot help with that.", Failure.NO_ANSWER),
        ('{"reasoning": "a", "score": [4', Failure.NOT_JSON),
        ('{"reasoning": "a"}', Failure.WRONG_FORM),
        ('{"reasoning": "a", "score": [4, 4]}', Failure.WRONG_FORM),
        ('{"reasoning": "a", "score": []}', Failure.WRONG_FORM),
        ('{"reasoning": "a", "score": true}', Failure.WRONG_FORM),
        ('{"reasoning": 1, "score": [4]}', Failure.WRONG_FORM),
        ('{"reasoning": "a", "score": [0]}', Failure.SCORE_OUT_OF_RANGE),
        ('{"reasoning": "a", "score": [6]}', Failure.SCORE_OUT_OF_RANGE),
        ('{"reasoning": "a", "score": [NaN]}', Failure.SCORE_OUT_OF_RANGE),
    ],
)
def test_an_answer_without_one_score_is_no_judgement(firm, text, failure):
    with pytest.raises(JudgementError) as caught:
        read_public(firm, one_each('{"score": [3]}', text), BOTH)
    assert caught.value.failure is failure


def test_two_scores_of_ten_become_25_and_the_lower_ones_count(viescore):
    texts = one_each('{"score": [7, 9], "reasoning": "a"}', '{"score": ["6", 8]}')
    judgement = read_public(viescore, texts, BOTH)
    assert judgement.scores == Scores(
        editing_success=17.5, over_editing=22.5, naturalness=15.0, artifact_freedom=20.0
    )
    # As published: the root of 7 * 6, of 10.
    assert judgement.reward == 42**0.5 / 10
    assert (judgement.sc_reasoning, judgement.pq_reasoning) == ("a", "")
    assert judgement.mended == (Mending.QUOTED_NUMBER,)
    quality = read_public(viescore, {Streams.PERCEPTUAL: '{"score": [5, 4]}'}, Streams.PERCEPTUAL)
    assert quality.reward == 0.4
    assert not quality.scores.is_semantic


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ('{"score": [7]}', Failure.WRONG_FORM),
        ('{"score": 7}', Failure.WRONG_FORM),
        ('{"reasoning": "a"}', Failure.WRONG_FORM),
        ('{"score": [7, 7, 7]}', Failure.WRONG_FORM),
        ('{"score": [7, null]}', Failure.WRONG_FORM),
        ('{"score": [7, 11]}', Failure.SCORE_OUT_OF_RANGE),
        ("[7, 7]", Failure.NO_ANSWER),
    ],
)
def test_an_answer_without_two_scores_is_no_judgement(viescore, text, failure):
    with pytest.raises(JudgementError) as caught:
        read_public(viescore, one_each('{"score": [3, 3]}', text), BOTH)
    assert caught.value.failure is failure


def test_a_critique_is_read_section_by_section(rational):
    judgement = read_public(rational, {Streams.SEMANTIC: critique()}, BOTH)
    assert judgement.scores.editing_success == pytest.approx(25 * 2 / 3)
    assert judgement.scores.over_editing == 25.0
    assert judgement.scores.naturalness == judgement.scores.artifact_freedom == 12.5
    # As published: the mean of what applies, less 1, by 3.
    assert judgement.reward == pytest.approx(((3 + 4 + 2.5) / 3 - 1) / 3)
    assert judgement.sc_reasoning.startswith("Text Faithfulness: ## Justification: a cat came")
    assert "fine" in judgement.pq_reasoning


def test_rendered_text_counts_where_it_applies(rational):
    judgement = read_public(rational, {Streams.SEMANTIC: critique(rendering="1")}, BOTH)
    assert judgement.reward == pytest.approx(((3 + 4 + 2.5 + 1) / 4 - 1) / 3)


def test_one_stream_of_a_critique_has_a_reward_of_its_own(rational):
    text = {Streams.SEMANTIC: f"<think>hm</think>{critique()}"}
    quality = read_public(rational, text, Streams.PERCEPTUAL)
    assert quality.scores == Scores(naturalness=12.5, artifact_freedom=12.5)
    assert quality.reward == pytest.approx(0.5)
    assert quality.mended == (Mending.THOUGHT,)
    semantic = read_public(rational, text, Streams.SEMANTIC)
    assert semantic.reward == pytest.approx((2 / 3 + 1) / 2)
    assert semantic.pq_reasoning == ""


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (" ", Failure.NO_ANSWER),
        ('{"reasoning": "a", "score": [20, 20]}', Failure.NO_ANSWER),
        (critique().split("4. Text Rendering")[0], Failure.WRONG_FORM),
        (critique(text="N/A"), Failure.WRONG_FORM),
        (critique(text="good"), Failure.WRONG_FORM),
        (critique(text="3\n## Score: 4"), Failure.WRONG_FORM),
        (critique(text="3\n2. Image Faithfulness:\n## Score: 4"), Failure.WRONG_FORM),
        (critique(text="4.5"), Failure.SCORE_OUT_OF_RANGE),
        (critique(text="0"), Failure.SCORE_OUT_OF_RANGE),
        (critique(text="-1"), Failure.SCORE_OUT_OF_RANGE),
    ],
)
def test_a_critique_without_its_scores_is_no_judgement(rational, text, failure):
    with pytest.raises(JudgementError) as caught:
        read_public(rational, {Streams.SEMANTIC: text}, BOTH)
    assert caught.value.failure is failure


def test_a_scale_is_linear():
    fifths = ScoreScale(lowest=1, highest=5, zero=0)
    assert [fifths.common(one) for one in (1, 5)] == [5.0, 25.0]
    assert ScoreScale(lowest=1, highest=4).common(1) == 0.0
    for wrong in ({"lowest": 4, "highest": 1}, {"lowest": 1, "highest": 4, "zero": 2}):
        with pytest.raises(ValueError, match="expected zero <= lowest < highest"):
            ScoreScale(**wrong)


def test_modulated_scores_are_worth_nothing_without_the_edit():
    reward = Aggregation(form="modulated").reward
    assert reward(Scores(editing_success=0.0, over_editing=25.0)) == 0.0
    assert reward(Scores(editing_success=25.0, over_editing=0.0)) == pytest.approx(0.6)


def test_what_a_public_judge_needs_leaves_other_protocols_as_they_were():
    names = ("format", "system", "min_pixels", "max_sources", "scale")
    assert not any(f'"{name}"' in TINY.model_dump_json() for name in names)
    assert (TINY.reference, FULL.reference) == ("tiny@ab25de332a5b", "full@6e711caa88a6")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"perceptual": "{edited}"}, "perceptual: .*one question, expected no second one"),
        ({"format": "one_score"}, r"perceptual: .*expected \{source\} 1 times"),
        ({"answer": "regions"}, "the format critique has no regions"),
    ],
)
def test_a_format_has_its_own_prompts(rational, tmp_path, changes, message):
    path = tmp_path / "protocol.json"
    made = Protocol.model_construct(**(rational.model_dump() | changes))
    path.write_text(made.model_dump_json(warnings=False))
    with pytest.raises(InvalidInputError, match=message):
        Protocol.read_file(path)


def test_streams_are_asked_by_the_prompts_that_tell_of_them():
    sc, pq = Streams.SEMANTIC, Streams.PERCEPTUAL
    assert AnswerFormat.JSON.questions(pq) == (pq,)
    assert AnswerFormat.HEADS.questions(BOTH) == (sc, pq)
    assert AnswerFormat.CRITIQUE.questions(pq) == (sc,)
    assert AnswerFormat.ONE_SCORE.questions(sc) == (sc, pq)
    assert AnswerFormat.ONE_SCORE.questions(pq) == ()
