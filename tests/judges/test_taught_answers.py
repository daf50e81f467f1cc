"""A judge with the rules of Qwen's tokenizer gives what it was taught, word for word."""

import json
from collections import Counter

import pytest
from PIL import Image

from serving.bench.fixed_answers import teach
from spatialreward.edits import Edit
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.questions import perceptual_question, semantic_question
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import TINY
from spatialreward.records import JudgementStatus, Mending
from tests.judges.qwen_like import qwen_like_parts

PROTOCOL = TINY.model_copy(update={"max_answer_tokens": 300})
DRAFT = '{"edit_region": [], "reasoning": "nothing", "score": [0, 0]}'
SOUND = json.dumps(
    {
        "edit_region": [{"id": 0, "label": "红色的围巾 🧣", "bbox_2d": [250, 266, 500, 600]}],
        "reasoning": "<|bbox_0|> 女孩戴上了围巾 🧣 龘。 <|global|> größer",
        "score": [21, 4],
    },
    ensure_ascii=False,
)
SEMANTIC = {
    "in one line": SOUND,
    "after a draft": f"<think>maybe {DRAFT} but no, look again</think>{SOUND}",
    "after braces": f"<think>the objects {{cup, plate}} differ</think>\n\n{SOUND}",
    "after nothing": f"<think>\n\n</think>\n\n{SOUND}",
    "in many lines": json.dumps(json.loads(SOUND), ensure_ascii=False, indent=2),
    "with spaces": json.dumps(json.loads(SOUND), ensure_ascii=False, separators=(" , ", " : ")),
}
PERCEPTUAL = '{\n  "reasoning": "nothing broken, fine ✨",\n  "score": [\n    20,\n    9\n  ]\n}'


@pytest.fixture(scope="module")
def edits():
    return {
        how: Edit(
            Image.new("RGB", (64, 64), (40 * number, 90, 30)),
            Image.new("RGB", (64, 64), (90, 40 * number, 200)),
            how,
        )
        for number, how in enumerate(SEMANTIC)
    }


@pytest.fixture(scope="module")
def parts(edits):
    model, processor = qwen_like_parts()
    processor = processor.following(PROTOCOL)
    questions = [semantic_question(PROTOCOL, edit) for edit in edits.values()]
    questions += [perceptual_question(PROTOCOL, edit) for edit in edits.values()]
    answers = [*SEMANTIC.values(), *[PERCEPTUAL] * len(edits)]
    teach(model, processor, questions, answers)
    return model, processor


@pytest.fixture(scope="module", params=[True, False], ids=["guided", "free"])
def judge(request, parts):
    return Judge.of_model(*parts, PROTOCOL, guided=request.param)


def test_each_answer_is_given_word_for_word_and_read(judge, edits):
    amounts = Counter()
    judgements = judge.judge(edits.values(), lambda name, amount: amounts.update({name: amount}))
    semantic, perceptual = parse_semantic(SOUND), parse_perceptual(PERCEPTUAL)
    for how, judgement in zip(edits, judgements, strict=True):
        assert judgement.status is JudgementStatus.OK, (how, judgement.reason)
        assert judgement.regions == semantic.edit_region
        assert judgement.sc_reasoning == semantic.reasoning
        assert judgement.pq_reasoning == perceptual.reasoning
        assert tuple(judgement.scores.given().values()) == (21, 4, 20, 9)
        assert judgement.mended == ((Mending.THOUGHT,) if "think" in SEMANTIC[how] else ())
    assert amounts["mended/thought"] == 3


def test_every_score_has_a_mean_however_the_answer_is_written(judge, edits):
    for judgement in judge.judge(edits.values()):
        soft = judgement.soft_scores.given()
        assert soft == pytest.approx(judgement.scores.given(), abs=2)
        assert judgement.reward == PROTOCOL.aggregation.reward(judgement.soft_scores)


def test_alone_as_in_company(judge, edits):
    for edit, together in zip(edits.values(), judge.judge(edits.values()), strict=True):
        (alone,) = judge.judge([edit])
        assert alone.scores == together.scores
        assert alone.sc_reasoning == together.sc_reasoning
        assert alone.reward == pytest.approx(together.reward, abs=1e-4)
