"""A reasoning about regions as plain prose, for judges that predict none."""

import re
from collections.abc import Mapping

_MARK = re.compile(r"[ \t]*<\|(?:bbox_(?P<id>[0-9]+)|global)\|>[ \t]*(?P<colon>[:\uff1a][ \t]*)?")
_UNSPACED = ("\n", "\u3002", "\uff01", "\uff1f", "\uff1b", "\uff1a")
"""Ends of sentences behind which no space stands: a new line, and Chinese . ! ? ; and :"""
_SENTENCE_ENDS = (*".!?:;", *_UNSPACED)
_CLOSING = "\"')]\u00bb\u2019\u201d"
_CLINGING = tuple(",.;!?)")
"""What stands directly behind a noun."""
_NAMELESS = "the region"


def without_marks(reasoning: str, labels: Mapping[int, str]) -> str:
    """A reasoning without ``<|bbox_i|>`` and ``<|global|>``.

    At the beginning of a sentence a mark is a heading of what follows, which says by itself what it
    is about: it is left out, with the colon behind it. Within a sentence the mark of a region is a
    noun, and the region's label takes its place. ``<|global|>`` is none: the sentence that runs
    into it ends there.

    Args:
        reasoning: with marks.
        labels: of the regions, by their ids.
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
    # A mark that another one was broken into, or one in a label.
    while _MARK.search(prose):
        prose = _MARK.sub(" ", prose).strip()
    return prose
