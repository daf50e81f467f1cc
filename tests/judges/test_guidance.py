import json

import pytest
import torch

from spatialreward.judges.qwen_vl.answer_schema import PERCEPTUAL_FORM, SEMANTIC_FORM
from spatialreward.judges.qwen_vl.guidance import Guidance, hold
from spatialreward.judges.qwen_vl.vocabulary import Vocabulary
from tests.judges.qwen_like import qwen_like_tokenizer

SEMANTIC = {
    "edit_region": [{"id": 0, "label": "红色的围巾 🧣", "bbox_2d": [0, 5, 1000, 70]}],
    "reasoning": "<|bbox_0|> ok\n<|global|> done",
    "score": [20, 5],
}


@pytest.fixture(scope="module")
def tokenizer():
    return qwen_like_tokenizer()


@pytest.fixture(scope="module")
def guidance(tokenizer):
    vocabulary = Vocabulary(tokenizer)
    return Guidance(vocabulary, tokenizer.eos_token_id, len(tokenizer) + 9, torch.device("cpu"))


def leaves_at(form, tokenizer, text):
    """The text before the first token that the form does not allow; None: it allows them all."""
    state = form.begin
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    for number, token in enumerate([*tokens, tokenizer.eos_token_id]):
        if not form.allowed(state)[token]:
            return tokenizer.decode(tokens[:number])
        state = form.after(state, token)
    return None


@pytest.mark.parametrize("indent", [None, 2])
def test_whatever_is_a_judgement_may_be_written_and_then_ends(guidance, tokenizer, indent):
    text = json.dumps(SEMANTIC, ensure_ascii=False, indent=indent)
    assert leaves_at(guidance.form(SEMANTIC_FORM), tokenizer, text) is None


@pytest.mark.parametrize(
    ("wrong", "before"),
    [
        ('{"reasoning": "ok", "score": [26, 5]}', '{"reasoning": "ok", "score": [2'),
        ('{"reasoning": "ok", "score": [20, 5, 1]}', '{"reasoning": "ok", "score": [20, 5'),
        ('{"reason": "ok"}', '{"reason'),
        ("I see", ""),
    ],
)
def test_the_first_token_that_leaves_the_form_is_not_allowed(guidance, tokenizer, wrong, before):
    left = leaves_at(guidance.form(PERCEPTUAL_FORM), tokenizer, wrong)
    assert left is not None
    assert before.startswith(left)


def test_logits_behind_the_vocabulary_are_never_allowed(guidance, tokenizer):
    form = guidance.form(PERCEPTUAL_FORM)
    assert not form.allowed(form.begin)[len(tokenizer) :].any()


def test_a_form_is_compiled_once(guidance):
    assert guidance.form(PERCEPTUAL_FORM) is guidance.form(PERCEPTUAL_FORM)


def test_where_a_form_has_ended_anything_may_come(guidance):
    form = guidance.form(PERCEPTUAL_FORM)
    assert form.after(None, 3) is None
    assert form.allowed(None).all()


def test_what_is_not_allowed_is_ruled_out_row_by_row():
    logits = torch.ones(2, 3)
    hold(logits, [torch.tensor([True, False, True]), torch.tensor([True, True, True])])
    assert torch.isfinite(logits).tolist() == [[True, False, True], [True, True, True]]
