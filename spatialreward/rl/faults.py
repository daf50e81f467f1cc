"""What a judge found fault with most, in words that an editor can be given.

A judgement scores no single region, so the worst one is told by the words about it: those that
blame less those that praise, in English. Where no region is blamed, in another language or by a
judge without regions, the verdict on the whole picture counts.
"""

import re
from collections import defaultdict
from typing import NamedTuple

from spatialreward.data.regions.overlap import area
from spatialreward.protocol.prose import without_marks
from spatialreward.records import BOX_SCALE, EditRegion, Judgement, Scores

_MARK = re.compile(r"<\|(?:bbox_([0-9]+)|global)\|>")
_TOKEN = re.compile(r"<\|[^|<>]*\|>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_BLAME = re.compile(
    r"n't\b|\b(?:not|never|no longer|wrong\w*|fail\w*|miss\w*|ignor\w*|incorrect\w*|extra|instead|"
    r"un(?:asked|changed|intended|natural|realistic|requested|wanted)\w*|distort\w*|art[ie]fact\w*|"
    r"blur\w*|broken|garbled|lost|part(?:ly|ially))\b",
    re.IGNORECASE,
)
_PRAISE = re.compile(
    r"\b(?<!not )(?:as (?:asked|requested|intended)|correct\w*|clean\w*|faithful\w*|natural\w*|"
    r"realistic\w*|success\w*|well)\b",
    re.IGNORECASE,
)
_BEHIND_A_MARK = " \t\n:\uff1a"
_WHOLE = "in the whole picture"


class Fault(NamedTuple):
    """What is wrong, and where."""

    where: str
    """Such as ``at "a red hat" in the top left``."""
    words: str
    """What the judge wrote about it, in one line."""


def worst_fault(judgement: Judgement) -> Fault | None:
    """What a judge wrote about the worst region of an edit, or about the picture as a whole.

    Where the picture's quality scores lower than the edit's consistency, that is the reasoning
    about quality.

    Returns:
        None for a failed judgement, and where the judge wrote no reasoning.
    """
    if judgement.scores is None:
        return None
    quality = _readable(judgement, judgement.pq_reasoning)
    if quality and _is_quality_worse(judgement.scores):
        return Fault(_WHOLE, quality)
    told, verdict = _parts(judgement)
    blamed = [region for region in judgement.regions if blame(told.get(region.id, "")) > 0]
    if blamed:
        worst = max(blamed, key=lambda one: (blame(told[one.id]), area(one.bbox_2d)))
        return Fault(_where(worst), told[worst.id])
    words = verdict or _readable(judgement, judgement.sc_reasoning) or quality
    return Fault(_WHOLE, words) if words else None


def blame(words: str) -> int:
    """How many of the words blame, less how many praise."""
    return len(_BLAME.findall(words)) - len(_PRAISE.findall(words))


def shortened(words: str, longest: int) -> str:
    """Words of at most ``longest`` characters, cut between two words."""
    if len(words) <= longest:
        return words
    return words[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,;:.") + "…"


def _parts(judgement: Judgement) -> tuple[dict[int, str], str]:
    """What the reasoning says behind the marks of each region, and behind that of the verdict."""
    reasoning = judgement.sc_reasoning
    marks = list(_MARK.finditer(reasoning))
    ends = [*(mark.start() for mark in marks), len(reasoning)][1:]
    told: dict[int | None, list[str]] = defaultdict(list)
    for mark, end in zip(marks, ends, strict=True):
        about = None if mark[1] is None else int(mark[1])
        words = reasoning[mark.end() : end].lstrip(_BEHIND_A_MARK)
        told[about].append(_readable(judgement, words))
    joined = {about: " ".join(filter(None, words)) for about, words in told.items()}
    verdict = joined.pop(None, "")
    return {about: words for about, words in joined.items() if about is not None}, verdict


def _readable(judgement: Judgement, text: str) -> str:
    """In one line, without marks or what an instruction may not hold."""
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
