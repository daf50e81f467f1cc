"""Which token comes next: what a score leaves open, and soft scores against brute force."""

import re

import pytest
import torch
from PIL import Image

from serving.bench.fixed_answers import brute_force_mean
from spatialreward.judges.engines.transformers_engine import TransformersEngine
from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl import choosing
from spatialreward.judges.qwen_vl.vocabulary import Vocabulary
from spatialreward.records import AnswerForm
from tests.judges.qwen_like import qwen_like_parts

_SCORE = f"(?:{'|'.join(map(str, range(26)))})"
SHORT_FORM = rf'\{{"score": \[{_SCORE}, ?{_SCORE}\]\}}'


@pytest.fixture(scope="module")
def qwen_like():
    return qwen_like_parts()


@pytest.fixture(params=["whole", "digits"])
def tokenizer(request, untrained, qwen_like):
    return {"whole": untrained, "digits": qwen_like}[request.param][1].tokenizer


@pytest.fixture
def possible(tokenizer):
    """Writes a text as an answer without a form, and returns the tokens allowed next."""
    vocabulary = Vocabulary(tokenizer)
    chooser = choosing.Chooser(
        vocabulary, tokenizer.eos_token_id, len(tokenizer), torch.device("cpu"), guided=False
    )

    def possible(text):
        question = Question((Image.new("RGB", (64, 64)),), form=AnswerForm.REGIONS)
        answer = chooser.begin(question, 0, 99, thinking=False)
        for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
            answer.write(token, is_end=False)
        allowed = chooser._allowed(answer)
        if allowed is None:
            return None
        return {tokenizer.decode([token]) for token in allowed.nonzero()[:, 0]}

    return possible


def is_whole(tokenizer):
    return len(tokenizer("25", add_special_tokens=False)["input_ids"]) == 1


@pytest.mark.parametrize("text", ['{"score": [', '{"score": [7, ', '{\n"score" : [\n '])
def test_where_a_score_is_due_only_scores_and_white_space_are_possible(possible, tokenizer, text):
    scores = {str(score) for score in range(26 if is_whole(tokenizer) else 10)}
    assert {one for one in possible(text) if one.strip()} == scores


def test_behind_a_first_digit_only_what_makes_a_score_is_possible(possible, tokenizer):
    chosen = {
        digit: {one for one in possible(f'{{"score": [{digit}') if one.isdigit()}
        for digit in "0129"
    }
    nothing = {"0": set(), "1": set(), "2": set(), "9": set()}
    split = nothing | {"1": set("0123456789"), "2": set("012345")}
    assert chosen == (nothing if is_whole(tokenizer) else split)


@pytest.mark.parametrize("text", ['{"score"', '{"score": ', '{"score": [25', '{"score": [25 '])
def test_no_token_runs_into_a_score(possible, tokenizer, text):
    # The tiny vocabulary has beginnings of boxes, such as "[2" and "0, 5".
    into = {one for one in tokenizer.get_vocab() if re.search("[^0-9][0-9]", one)}
    assert bool(into) is is_whole(tokenizer)
    chosen = possible(text)
    assert chosen is None or not any(re.search("[^0-9][0-9]", one) for one in chosen)
    assert (chosen is None) <= (not into)


@pytest.mark.parametrize("text", ["", '{"reasoning": "', '{"score": [1, 2]', '<think>{"score": ['])
def test_elsewhere_anything_is_possible(possible, text):
    assert possible(text) is None


@pytest.fixture
def scores_only(monkeypatch):
    """The answers of a model of random weights: scores, and nothing before them."""
    monkeypatch.setattr(choosing, "answer_form", lambda question, *, thinking: SHORT_FORM)


@pytest.fixture
def written(monkeypatch):
    """The tokens of each answer, in the order in which the answers were begun."""
    written = []

    class Noted(choosing.GrowingAnswer):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            self.tokens = []
            written.append(self.tokens)

        def write(self, token):
            super().write(token)
            self.tokens.append(token)

    monkeypatch.setattr(choosing, "GrowingAnswer", Noted)
    return written


def test_soft_scores_of_split_numbers_are_brute_forces(qwen_like, scores_only, written):
    model, processor = qwen_like
    engine = TransformersEngine(model, processor, max_answer_tokens=40)
    tokens = Vocabulary(processor.tokenizer).scores
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("teal", "red", "gold")]
    questions = [Question((one, "how is it?"), form=AnswerForm.REGIONS) for one in pictures]
    chosen = dict(engine.answer(questions))
    for number, question in enumerate(questions):
        assert chosen[number].complete
        is_digit = [token in tokens.digits for token in written[number]]
        starts = [at for at, one in enumerate(is_digit) if one and not is_digit[at - 1]]
        for start, mean in zip(starts, chosen[number].soft_scores, strict=True):
            before = written[number][:start]
            expected = brute_force_mean(model, processor, question, before, tokens)
            assert mean == pytest.approx(expected, abs=1e-4)


def test_a_batch_gives_what_single_questions_give(qwen_like, scores_only):
    engine = TransformersEngine(*qwen_like, max_answer_tokens=40)
    pictures = [Image.new("RGB", (64, 64), (20 * number, 90, 200)) for number in range(12)]
    questions = [
        Question((one, f"look {n}"), form=AnswerForm.REGIONS) for n, one in enumerate(pictures)
    ]
    together = dict(engine.answer(questions))
    for number, question in enumerate(questions):
        (alone,) = dict(engine.answer([question])).values()
        assert alone.text == together[number].text
        assert alone.soft_scores == pytest.approx(together[number].soft_scores, abs=1e-4)


def test_guidance_keeps_a_model_that_knows_nothing_in_the_form(qwen_like, scores_only):
    engine = TransformersEngine(*qwen_like, max_answer_tokens=40)
    question = Question((Image.new("RGB", (64, 64)), "?"), seed=3, form=AnswerForm.REGIONS)
    drawn = {dict(engine.answer([question._replace(seed=seed)]))[0].text for seed in range(8)}
    assert len(drawn) > 1
    assert all(re.fullmatch(SHORT_FORM, text) for text in drawn)
