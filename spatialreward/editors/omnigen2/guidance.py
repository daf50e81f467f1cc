"""Guidance with two scales: one for the text, one for the source pictures."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Given(NamedTuple):
    """Inputs of one of the predictions."""

    text: bool
    """Otherwise the empty instruction."""
    references: bool


ALL = Given(text=True, references=True)
_PICTURES = Given(text=False, references=True)
_NOTHING = Given(text=False, references=False)


def predictions_for(text: float, image: float) -> tuple[Given, ...]:
    """The predictions that a guided direction needs; none for a scale of 1 or less.

    The pictures' scale counts only with a text scale above 1.
    """
    if text <= 1:
        return (ALL,)
    return (ALL, _NOTHING) if image <= 1 else (ALL, _PICTURES, _NOTHING)


def guide(predictions: Sequence[Tensor], text: float, image: float) -> Tensor:
    """The guided direction, of predictions in the order of ``predictions_for``."""
    match predictions:
        case [whole]:
            return whole
        case [whole, nothing]:
            return nothing + text * (whole - nothing)
        case [whole, pictures, nothing]:
            return nothing + image * (pictures - nothing) + text * (whole - pictures)
    raise ValueError(f"expected one to three predictions, got {len(predictions)}")
