"""Extracts a judge's criticism, in words for an editor's instruction.

Works in any language, because it uses only the structure of a judgement. The scores say whether the
edit or the picture's quality is worse. For the edit, the verdict comes first, because a missing
change has no region, then the words about each region, the largest first: a judgement does not
score regions, so all are kept. Without words about regions, the words about the whole picture
count.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from spatialreward.data.regions.overlap import area
from spatialreward.protocol.prose import without_marks
from spatialreward.records import BOX_SCALE, EditRegion, Judgement, Scores

_MARK = re.compile(r"<\|(?:bbox_([0-9]+)|global)\|>")
_TOKEN = re.compile(r"<\|[^|<>]*\|>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_ENDS_IN_A_WORD = re.compile(r"\w$")
_BEHIND_A_MARK = " \t\n:\uff1a"
_WHOLE = "in the whole picture"


class Fault(NamedTuple):
    """The criticism, and its place."""

    where: str
    """Such as ``at "a red hat" in the top left``; several regions are joined by commas."""
    words: str
    """The judge's words, in one line."""


def fault_of(judgement: Judgement) -> Fault | None:
    """A judge's words on the worst aspect of an edit, and the regions concerned.

    Returns:
        None for a failed judgement, and without reasoning.
    """
    if judgement.scores is None:
        return None
    quality = _readable(judgement, judgement.pq_reasoning)
    if quality and _is_quality_worse(judgement.scores):
        return Fault(_WHOLE, quality)
    words_of, verdict = _parts(judgement)
    named = [region for region in judgement.regions if words_of.get(region.id)]
    named.sort(key=lambda one: area(one.bbox_2d), reverse=True)
    if named:
        places = ", ".join(map(_where, named))
        return Fault(places, _sentences([verdict, *(words_of[one.id] for one in named)]))
    words = verdict or _readable(judgement, judgement.sc_reasoning) or quality
    return Fault(_WHOLE, words) if words else None


def shortened(words: str, longest: int) -> str:
    """Words of at most ``longest`` characters, cut between two words."""
    if len(words) <= longest:
        return words
    return words[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,;:.") + "…"


def _parts(judgement: Judgement) -> tuple[dict[int, str], str]:
    """The words after the marks of each region, and those after the mark of the verdict."""
    reasoning = judgement.sc_reasoning
    marks = list(_MARK.finditer(reasoning))
    ends = [*(mark.start() for mark in marks), len(reasoning)][1:]
    words_of: dict[int | None, list[str]] = defaultdict(list)
    for mark, end in zip(marks, ends, strict=True):
        about = None if mark[1] is None else int(mark[1])
        words = reasoning[mark.end() : end].lstrip(_BEHIND_A_MARK)
        words_of[about].append(_readable(judgement, words))
    joined = {about: " ".join(filter(None, words)) for about, words in words_of.items()}
    verdict = joined.pop(None, "")
    return {about: words for about, words in joined.items() if about is not None}, verdict


def _sentences(parts: Iterable[str]) -> str:
    """Join sentences; adds a full stop to those that end in a word, except the last."""
    present = list(filter(None, parts))
    ended = [f"{one}." if _ENDS_IN_A_WORD.search(one) else one for one in present[:-1]]
    return " ".join([*ended, present[-1]])


def _readable(judgement: Judgement, text: str) -> str:
    """In one line, without marks and characters that instructions must not contain."""
    prose = without_marks(text, {region.id: region.label for region in judgement.regions})
    return " ".join(_CONTROL.sub(" ", _TOKEN.sub(" ", prose)).split())


def _is_quality_worse(scores: Scores) -> bool:
    if scores.naturalness is None or scores.editing_success is None:
        return scores.editing_success is None
    quality = scores.naturalness + scores.artifact_freedom
    return quality < scores.editing_success + scores.over_editing


def _where(region: EditRegion) -> str:
    x1, y1, x2, y2 = region.bbox_2d
    across, down = (
        min(int(3 * (first + last) / 2 / BOX_SCALE), 2) for first, last in ((x1, x2), (y1, y2))
    )
    row, column = ("top", "", "bottom")[down], ("left", "", "right")[across]
    place = " ".join(filter(None, (row, column))) or "centre"
    label = " ".join(_CONTROL.sub(" ", _TOKEN.sub(" ", region.label)).split())
    return f'at "{label}" in the {place}' if label else f"in the {place}"
