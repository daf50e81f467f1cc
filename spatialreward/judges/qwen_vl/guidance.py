"""Constrains answers to their form: a compiled automaton gives the tokens allowed next.

vLLM gets the same form. Each form is compiled once per vocabulary (two seconds for Qwen's), and the
tokens allowed in a state are computed when the state is first reached.
"""

import threading
from collections.abc import Sequence
from functools import cached_property

import torch
from outlines_core import Index
from outlines_core import Vocabulary as IndexedVocabulary

from spatialreward.judges.qwen_vl.vocabulary import Vocabulary

# S states of an automaton, R rows, V words of the vocabulary


class Form:
    """One compiled form; safe to use from several threads."""

    def __init__(self, index: Index, num_words: int, device: torch.device) -> None:
        """Use a compiled form, and the number of logits."""
        self._index = index
        self._num_words = num_words
        self._device = device
        self._masks: dict[int, torch.Tensor] = {}
        self.begin: int = index.get_initial_state()
        """The state before the first token."""

    def after(self, state: int | None, token: int) -> int | None:
        """The state after a token; None if the form has ended, or the token is not allowed."""
        return None if state is None else self._index.get_next_state(state, token)

    def allowed(self, state: int | None) -> torch.Tensor:
        """Mask of the tokens allowed in a state, ``[V]`` of bool; all of them in None."""
        if state is None:
            return self._everything
        if state not in self._masks:
            mask_V = torch.zeros(self._num_words, dtype=torch.bool)
            mask_V[torch.tensor(self._index.get_allowed_tokens(state) or [], dtype=torch.long)] = (
                True
            )
            self._masks[state] = mask_V.to(self._device)
        return self._masks[state]

    @cached_property
    def _everything(self) -> torch.Tensor:
        return torch.ones(self._num_words, dtype=torch.bool, device=self._device)


class Guidance:
    """Compiles forms for one vocabulary, each once."""

    def __init__(
        self, vocabulary: Vocabulary, end_token: int, num_words: int, device: torch.device
    ) -> None:
        """Configure for a vocabulary.

        Args:
            vocabulary: bytes of the tokens.
            end_token: the token that ends a text.
            num_words: number of logits, which may exceed the number of tokens.
            device: of the logits.
        """
        self._vocabulary = vocabulary
        self._end_token = end_token
        self._num_words = num_words
        self._device = device
        self._forms: dict[str, Form] = {}
        self._compiling = threading.Lock()

    def form(self, pattern: str) -> Form:
        """The compiled form of a regular expression for whole answers."""
        with self._compiling:
            if pattern not in self._forms:
                index = Index(pattern, self._indexed)
                self._forms[pattern] = Form(index, self._num_words, self._device)
            return self._forms[pattern]

    @cached_property
    def _indexed(self) -> IndexedVocabulary:
        tokens: dict[bytes, list[int]] = {}
        for token, text in self._vocabulary.bytes_of.items():
            if text:
                tokens.setdefault(text, []).append(token)
        return IndexedVocabulary(self._end_token, tokens)


def hold(logits_RV: torch.Tensor, allowed: Sequence[torch.Tensor]) -> None:
    """Rule out disallowed tokens in place; ``allowed`` has one mask of ``[V]`` a row."""
    logits_RV.masked_fill_(~torch.stack(tuple(allowed)), float("-inf"))
