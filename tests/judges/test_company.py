"""One bad edit of a batch fails alone, with its reason."""

import json

import pytest
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.interface import ignore
from spatialreward.judges.qwen_vl.answers import Generated
from spatialreward.protocol.prompts import TINY

SEMANTIC = json.dumps({"edit_region": [], "reasoning": "<|global|> done", "score": [20, 10]})
PERCEPTUAL = json.dumps({"reasoning": "clean", "score": [5, 25]})


class Scripted:
    """Answers what the instruction says, in place of a model."""

    def __init__(self, broken):
        self._broken = broken

    def answer(self, questions, measure=ignore, more=lambda num: []):
        for number, question in enumerate(questions):
            is_semantic = len(question.pictures) > 1
            text = SEMANTIC if is_semantic else PERCEPTUAL
            if "broken" in question.text:
                text = self._broken
            yield number, Generated(text, text != "", (1.0, 2.0))


@pytest.mark.parametrize("broken", ["", "[]", "{", SEMANTIC[:-9], '{"score": [1, 99]}', "\ud83e"])
def test_an_answer_that_cannot_be_read_spoils_no_other(broken):
    blank = Image.new("RGB", (64, 64))
    edits = [Edit(blank, blank, words) for words in ("good", "broken", "good", "broken")]
    good, bad, *others = Judge(Scripted(broken), TINY).judge(edits)
    assert (good.status, bad.status) == ("ok", "failed")
    assert (bad.scores, bad.reward) == (None, None)
    assert bad.reason
    assert others == [good, bad]


@pytest.mark.parametrize(
    ("picture", "instruction", "message"),
    [
        (Image.new("RGB", (201, 1)), "add a dog", "edited: "),
        (Image.new("RGB", (8, 8)), "add <|image_pad|>", "instruction: "),
        (b"no picture", "add a dog", "edited: "),
    ],
)
def test_what_no_model_could_read_is_no_edit(picture, instruction, message):
    """So it cannot enter a batch, and the error names the picture."""
    with pytest.raises(InvalidInputError, match=message):
        Edit(Image.new("RGB", (8, 8)), picture, instruction)
