"""Finds a chat template's special tokens in a label, which would end a taught answer early."""

import re
from typing import NamedTuple

from spatialreward.records import Judgement

# References to regions are allowed.
_FOREIGN_TOKEN = re.compile(r"<\|(?!bbox_\d+\|>|global\|>)[^|<>]*\|>")


class ReservedToken(NamedTuple):
    """A token, and the label's text that contains it."""

    where: str
    token: str

    def __str__(self) -> str:
        """The wording in errors."""
        return f"{self.where} holds {self.token!r}, which is reserved for the chat template"


def find_reserved(label: Judgement) -> ReservedToken | None:
    """The first token of a chat template in a label's texts; None if there is none."""
    texts = {"sc_reasoning": label.sc_reasoning, "pq_reasoning": label.pq_reasoning}
    texts |= {f"label of region {region.id}": region.label for region in label.regions}
    for where, text in texts.items():
        if token := _FOREIGN_TOKEN.search(text):
            return ReservedToken(where, token.group())
    return None
