"""The form of a judge's answer, for guided generation; free of torch.

A form is a regular expression. It allows a thought before the answer, and JSON on one line or on
several, as models write it; nothing else. The parser checks the rest, such as x1 < x2 and that the
reasoning names known regions only.
"""

from collections.abc import Iterable, Mapping

from spatialreward.judges.questions import Question
from spatialreward.records import MAX_SCORE, AnswerForm

_SCORES = range(int(MAX_SCORE) + 1)
_GAP = r"(?: |\r?\n[ \t]*)?"
"""Between parts of an array or object: nothing, a space, or a new line with its indentation."""
_SPACE = " ?"
_WITHIN_THOUGHT = r"(?:[^<]|<[^/])*</think>[ \n]{0,4}"


def answer_form(question: Question, *, thinking: bool = False) -> str | None:
    """Pattern of the whole answer to a question; None: unconstrained.

    Args:
        question: the question.
        thinking: the prompt ends within a thought.
    """
    if question.form is None:
        return None
    form = _PERCEPTUAL[question.form]
    # Only the SC stream compares pictures, and only it has regions.
    if question.compares and question.form.has_regions:
        form = SEMANTIC_FORM
    return _behind_thought(form, thinking=thinking)


def answer_forms(form: AnswerForm, *, thinking: bool = False) -> tuple[str, ...]:
    """All patterns of ``answer_form`` for judgements in a form of the protocol."""
    forms = ((SEMANTIC_FORM,) if form.has_regions else ()) + (_PERCEPTUAL[form],)
    return tuple(_behind_thought(one, thinking=thinking) for one in forms)


def _behind_thought(form: str, *, thinking: bool) -> str:
    return _WITHIN_THOUGHT + form if thinking else f"(?:<think>{_WITHIN_THOUGHT})?{form}"


def _object(**values: str) -> str:
    members = [f'"{key}"{_SPACE}:{_SPACE}{value}' for key, value in values.items()]
    return rf"\{{{_GAP}{_list(members)}{_GAP}\}}"


def _array(*items: str) -> str:
    return rf"\[{_GAP}{_list(items)}{_GAP}\]"


def _list(items: Iterable[str]) -> str:
    return f"{_SPACE},{_GAP}".join(items)


_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_TEXT = rf'"(?:[^"\\\x00-\x1f]|{_ESCAPE})*"'
_ID = "(?:0|[1-9][0-9]{0,2})"
_COORDINATE = "(?:0|[1-9][0-9]{0,2}|1000)"
_SCORE = f"(?:{'|'.join(str(score) for score in _SCORES)})"
_REGION = _object(id=_ID, label=_TEXT, bbox_2d=_array(*[_COORDINATE] * 4))

SCORES_FORM = _object(score=_array(_SCORE, _SCORE))
PERCEPTUAL_FORM = _object(reasoning=_TEXT, score=_array(_SCORE, _SCORE))
SEMANTIC_FORM = _object(
    edit_region=rf"\[{_GAP}(?:{_REGION}(?:{_SPACE},{_GAP}{_REGION})*)?{_GAP}\]",
    reasoning=_TEXT,
    score=_array(_SCORE, _SCORE),
)
_PERCEPTUAL: Mapping[AnswerForm, str] = {
    AnswerForm.REGIONS: PERCEPTUAL_FORM,
    AnswerForm.REASONING: PERCEPTUAL_FORM,
    AnswerForm.SCORES: SCORES_FORM,
}
"""For the PQ stream, and an SC stream without regions."""
