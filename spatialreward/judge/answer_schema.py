"""The form of a judge's answer, for engines that can hold a model to it; free of torch.

A form is a regular expression, so that both spellings of JSON that models write (a space after each
comma and colon, or none) are allowed and nothing else is. What it cannot say, such as x1 < x2 or
that the reasoning names known regions only, is left to the parser.
"""

from typing import TYPE_CHECKING

from spatialreward.judge.questions import Question
from spatialreward.records import MAX_SCORE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SCORES = range(int(MAX_SCORE) + 1)


def answer_form(question: Question) -> str:
    """What the whole answer to a question matches; the SC stream alone compares pictures."""
    return SEMANTIC_FORM if len(question.pictures) > 1 else PERCEPTUAL_FORM


def score_tokens(tokenizer: "PreTrainedTokenizerBase") -> list[int] | None:
    """The tokens of the scores 0..25 in order; None where a score takes several tokens."""
    encoded = [tokenizer(str(score), add_special_tokens=False)["input_ids"] for score in _SCORES]
    return [tokens[0] for tokens in encoded] if all(len(one) == 1 for one in encoded) else None


def _object(**values: str) -> str:
    return r"\{" + ", ?".join(f'"{key}": ?{value}' for key, value in values.items()) + r"\}"


def _array(*items: str) -> str:
    return r"\[" + ", ?".join(items) + r"\]"


_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_TEXT = rf'"(?:[^"\\\x00-\x1f]|{_ESCAPE})*"'
_ID = "(?:0|[1-9][0-9]{0,2})"
_COORDINATE = "(?:0|[1-9][0-9]{0,2}|1000)"
_SCORE = f"(?:{'|'.join(str(score) for score in _SCORES)})"
_REGION = _object(id=_ID, label=_TEXT, bbox_2d=_array(*[_COORDINATE] * 4))

PERCEPTUAL_FORM = _object(reasoning=_TEXT, score=_array(_SCORE, _SCORE))
SEMANTIC_FORM = _object(
    edit_region=rf"\[(?:{_REGION}(?:, ?{_REGION})*)?\]",
    reasoning=_TEXT,
    score=_array(_SCORE, _SCORE),
)
