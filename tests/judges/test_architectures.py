"""The engine reads every architecture as transformers does, in any company."""

import numpy as np
import pytest
from PIL import Image

from spatialreward.judges.engines.transformers_engine import TransformersEngine
from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl.faster import make_faster
from spatialreward.judges.qwen_vl.folder import MODEL_TYPES
from spatialreward.judges.qwen_vl.processor import Processor
from tests.judges.models import image_processor, small_model

MOST_TOKENS = 20


@pytest.fixture(scope="module")
def processor(untrained):
    return Processor(untrained[1].tokenizer, image_processor(), None)


@pytest.fixture(scope="module")
def questions():
    """Pictures of several shapes, in several places, some of them shared."""
    rng = np.random.default_rng(0)
    sides = ((40, 64), (64, 64), (100, 30), (48, 48))
    a, b, c, d = (
        Image.fromarray(rng.integers(0, 256, (*side, 3), dtype=np.uint8)) for side in sides
    )
    parts = [("judge", a, b), (c,), ("words", d, "more", a), ("judge", a, d), (a, b, c, "words")]
    return [Question(one) for one in parts]


def texts(engine, questions):
    answers = dict(engine.answer(questions))
    return [answers[number].text for number in range(len(questions))]


@pytest.mark.parametrize("kind", MODEL_TYPES)
@pytest.mark.parametrize("tied", [True, False])
def test_answers_are_those_of_transformers_own_generation(kind, tied, processor, questions):
    model = small_model(kind, processor.tokenizer, tied=tied)
    expected = []
    for question in questions:
        inputs = processor.encode([question])
        output = model.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
        expected.append(
            processor.tokenizer.decode(
                output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
            )
        )
    make_faster(model)
    engine = TransformersEngine(model, processor, max_answer_tokens=MOST_TOKENS)
    together = texts(engine, questions)
    assert together == expected
    assert len(set(together)) > 1
    assert [texts(engine, [question])[0] for question in questions] == together


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_shared_prompts_are_answered_as_prompts_in_full(kind, processor, questions):
    model = small_model(kind, processor.tokenizer)
    shared, full = (
        TransformersEngine(model, processor, max_answer_tokens=MOST_TOKENS, share_prefixes=share)
        for share in (True, False)
    )
    assert texts(shared, questions) == texts(full, questions)
