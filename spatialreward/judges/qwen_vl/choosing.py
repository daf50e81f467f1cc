"""Chooses the next token of each answer within its form, and records soft scores."""

# R rows (one an answer), B rows that begin a score, V words of the vocabulary

from collections.abc import Callable, Sequence
from functools import cached_property

import torch

from spatialreward.judges.questions import Question
from spatialreward.judges.qwen_vl.answer_schema import answer_form, answer_forms
from spatialreward.judges.qwen_vl.answers import Generated, GrowingAnswer
from spatialreward.judges.qwen_vl.guidance import Form, Guidance, hold
from spatialreward.judges.qwen_vl.soft_scores import (
    LogChances,
    candidates,
    mean_of_digits,
    mean_of_whole,
)
from spatialreward.judges.qwen_vl.vocabulary import Digits, Vocabulary, Whole
from spatialreward.records import AnswerForm

Branch = Callable[[Sequence[int], Sequence[int]], torch.Tensor]
"""The logits ``[B, V]`` after a probe token in some rows, which does not stay in them."""


class Answer:
    """One answer during generation."""

    def __init__(
        self, number: int, seed: int | None, max_tokens: int, text: GrowingAnswer, form: Form | None
    ) -> None:
        """An empty answer; see ``Chooser.begin``."""
        self.number = number
        self.draw = None if seed is None else torch.Generator().manual_seed(seed)
        self.text = text
        self.form = form
        self.state = form.begin if form else None
        self.soft_scores: list[float] = []
        self.is_complete = False
        self._tokens_left = max_tokens
        self._was_ended = False

    @property
    def has_ended(self) -> bool:
        """Whether generation has ended."""
        return self.is_complete or self._tokens_left == 0

    def write(self, token: int, *, is_end: bool) -> None:
        """Append a token, or end the answer."""
        if self.has_ended:
            return
        self._tokens_left -= 1
        if is_end:
            self.is_complete = True
            return
        self.text.write(token)
        self.is_complete = self.text.is_complete
        if self.form:
            self.state = self.form.after(self.state, token)

    def ends_now(self) -> bool:
        """Whether it has ended since the previous call."""
        was_ended, self._was_ended = self._was_ended, self.has_ended
        return self._was_ended and not was_ended

    def generated(self) -> Generated:
        """The generated answer."""
        return Generated(self.text.text, self.is_complete, tuple(self.soft_scores))


class Chooser:
    """The likeliest or a sampled next token of each answer, among the allowed ones.

    Scores are limited to 0..25 with and without guidance.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        end_token: int,
        num_words: int,
        device: torch.device,
        *,
        guided: bool,
    ) -> None:
        """Configure for a vocabulary.

        Args:
            vocabulary: bytes of the model's tokens.
            end_token: the token that ends a text.
            num_words: number of logits.
            device: of the logits.
            guided: constrain answers to their form.
        """
        self._vocabulary = vocabulary
        self._end_token = end_token
        self._num_words = num_words
        self._device = device
        self._guidance = Guidance(vocabulary, end_token, num_words, device) if guided else None
        self._rules: dict[str, torch.Tensor] = {}

    @cached_property
    def _everything(self) -> torch.Tensor:
        return torch.ones(self._num_words, dtype=torch.bool, device=self._device)

    def prepare(self, form: AnswerForm, *, thinking: bool) -> None:
        """Compile the forms of judgements if guided; ``thinking`` as for ``begin``.

        Takes seconds for Qwen's vocabulary.
        """
        if self._guidance:
            for pattern in answer_forms(form, thinking=thinking):
                self._guidance.form(pattern)

    def begin(self, question: Question, number: int, max_tokens: int, *, thinking: bool) -> Answer:
        """An empty answer to a question; ``thinking``: its prompt ends within a thought."""
        pattern = answer_form(question, thinking=thinking) if self._guidance else None
        form = self._guidance.form(pattern) if self._guidance and pattern else None
        text = GrowingAnswer(
            self._vocabulary.bytes_of, thinking=thinking, in_words=question.in_words
        )
        return Answer(number, question.seed, max_tokens, text, form)

    def choose(
        self, logits_RV: torch.Tensor, answers: Sequence[Answer], branch: Branch
    ) -> torch.Tensor:
        """Choose each answer's next token and append it.

        Args:
            logits_RV: the model's; not modified.
            answers: one a row.
            branch: computes logits after a probe token; called at most once.
        """
        held_RV = logits_RV
        masks = [self._allowed(answer) for answer in answers]
        if any(mask_V is not None for mask_V in masks):
            held_RV = logits_RV.clone()
            hold(held_RV, [self._everything if mask_V is None else mask_V for mask_V in masks])
        tokens_R = _choose(held_RV, [answer.draw for answer in answers])
        chosen = tokens_R.tolist()
        self._note_soft_scores(logits_RV, answers, chosen, branch)
        for answer, token in zip(answers, chosen, strict=True):
            answer.write(token, is_end=token == self._end_token)
        return tokens_R

    def _allowed(self, answer: Answer) -> torch.Tensor | None:
        """Mask of tokens allowed next in an answer, ``[V]``; None: all."""
        if answer.has_ended:
            return None
        formal = answer.form.allowed(answer.state) if answer.form else None
        numeric = self._rule(answer.text)
        if formal is None or numeric is None:
            return numeric if formal is None else formal
        return formal & numeric

    def _rule(self, text: GrowingAnswer) -> torch.Tensor | None:
        """Mask for a score at this place; None outside scores."""
        tokens = self._vocabulary.scores
        nears = text.nears_score and bool(self._vocabulary.crossing)
        if tokens is None or not (text.at_score or text.score_digits or nears):
            return None
        place = "begin" if text.at_score else text.score_digits or "near"
        if place not in self._rules:
            self._rules[place] = self._mask(place, tokens)
        return self._rules[place]

    def _mask(self, place: str, tokens: Whole | Digits) -> torch.Tensor:
        mask_V = torch.zeros(self._num_words, dtype=torch.bool)
        match tokens:
            case _ if place == "begin":
                mask_V[[*self._vocabulary.first_tokens, *self._vocabulary.white_space]] = True
            case _ if place == "near":
                mask_V[:] = True
            case Whole():
                mask_V[:] = True
                mask_V[list(self._vocabulary.numeric)] = False
            case Digits():
                seconds = tokens.after(int(place)) if len(place) == 1 else ()
                mask_V[[*seconds, *tokens.endings]] = True
        mask_V[list(self._vocabulary.crossing)] = False
        return mask_V.to(self._device)

    def _note_soft_scores(
        self,
        logits_RV: torch.Tensor,
        answers: Sequence[Answer],
        chosen: Sequence[int],
        branch: Branch,
    ) -> None:
        tokens = self._vocabulary.scores
        if tokens is None:
            return
        firsts = self._vocabulary.first_tokens
        begun = [
            row
            for row, answer in enumerate(answers)
            if not answer.has_ended and answer.text.at_score and chosen[row] in firsts
        ]
        if not begun:
            return
        first = _chances(logits_RV[begun], candidates(tokens))
        if isinstance(tokens, Whole):
            means = [mean_of_whole(tokens, chances) for chances in first]
        else:
            means = _means_of_digits(tokens, first, begun, branch)
        for row, mean in zip(begun, means, strict=True):
            answers[row].soft_scores.append(mean)


def _means_of_digits(
    tokens: Digits, first: Sequence[LogChances], begun: Sequence[int], branch: Branch
) -> list[float]:
    branches = tokens.branches()
    rows = [row for _ in branches for row in begun]
    kept = [token for token in branches.values() for _ in begun]
    behind = _chances(branch(rows, kept), candidates(tokens))
    of_digit = {
        digit: behind[number * len(begun) : (number + 1) * len(begun)]
        for number, digit in enumerate(branches)
    }
    return [
        mean_of_digits(tokens, one, {digit: each[row] for digit, each in of_digit.items()})
        for row, one in enumerate(first)
    ]


def _chances(logits_BV: torch.Tensor, tokens: Sequence[int]) -> list[dict[int, float]]:
    at = torch.tensor(tokens, device=logits_BV.device)
    return [dict(zip(tokens, row, strict=True)) for row in logits_BV[:, at].double().tolist()]


def _choose(logits_RV: torch.Tensor, draw: Sequence[torch.Generator | None]) -> torch.Tensor:
    """The likeliest token of each row, or a sample from its distribution."""
    tokens_R = logits_RV.argmax(dim=1)
    for row, generator in enumerate(draw):
        if generator is not None:
            chances_V = logits_RV[row].float().softmax(dim=0).cpu()
            tokens_R[row] = torch.multinomial(chances_V, 1, generator=generator)[0]
    return tokens_R
