"""Converts reasoning about regions to plain prose, for judges without regions."""

import re
from collections.abc import Mapping

_MARK = re.compile(r"[ \t]*<\|(?:bbox_(?P<id>[0-9]+)|global)\|>[ \t]*(?P<colon>[:\uff1a][ \t]*)?")
_UNSPACED = ("\n", "\u3002", "\uff01", "\uff1f", "\uff1b", "\uff1a")
"""Sentence ends without a following space: a new line, and Chinese . ! ? ; and :"""
_SENTENCE_ENDS = (*".!?:;", *_UNSPACED)
_CLOSING = "\"')]\u00bb\u2019\u201d"
_CLINGING = tuple(",.;!?)")
"""Punctuation directly after a noun."""
_NAMELESS = "the region"


def without_marks(reasoning: str, labels: Mapping[int, str]) -> str:
    """Remove ``<|bbox_i|>`` and ``<|global|>`` from a reasoning.

    At the start of a sentence a mark is a heading, and the text after it names its own subject: the
    mark and its colon are dropped. Within a sentence the mark of a region is a noun, so the
    region's label replaces it. ``<|global|>`` is not a noun: it ends the sentence that it
    interrupts.

    Args:
        reasoning: with marks.
        labels: of the regions, by id.
    """
    written, at = "", 0
    for mark in _MARK.finditer(reasoning):
        written += reasoning[at : mark.start()]
        at = mark.end()
        if not written.strip():
            written = ""
        elif written.rstrip(_CLOSING).endswith(_SENTENCE_ENDS):
            written += "" if written.endswith(_UNSPACED) else " "
        elif mark["id"] is None:
            written += ". "
        else:
            noun = labels.get(int(mark["id"]), "").strip() or _NAMELESS
            colon = ":" if mark["colon"] else ""
            space = "" if reasoning.startswith(_CLINGING, at) else " "
            written += f" {noun}{colon}{space}"
    prose = (written + reasoning[at:]).rstrip(" \t") if at else reasoning
    # Marks in labels, or those formed when an inner mark was removed.
    while _MARK.search(prose):
        prose = _MARK.sub(" ", prose).strip()
    return prose
