"""Finds explicit statements about a score in a reasoning: carried out or not, natural or not.

Uses a few unambiguous English phrases. A text without any, with contradictory ones, with hedges, or
in another language gives no statement, and is accepted.
"""

import re
from typing import NamedTuple

_DENIAL = re.compile(
    r"(?:\b(?:not|never|no|hardly|barely|neither|nor|without|far from)|n't)(?:\s+[\w-]+){0,2}\s+$"
)
_HEDGE = re.compile(
    r"\b(?:but|however|although|though|except|apart from|despite|yet|while|only|"
    r"part(?:ly|ially|ial)?|almost|mostly|nearly|somewhat|largely)\b"
)
_LOOKED_AT_BEFORE = 40

_TASK = r"\b(?:instruction|request|edit|task|prompt|requested change)\b"
_DONE = (
    r"(?:carried out|followed|executed|applied|fulfilled|performed|implemented|done|completed|"
    r"achieved|realised|realized)\b"
)
_DO = r"(?:follow|carry out|execute|apply|fulfil+|perform|implement|do|add|remove|change|replace)\b"
_WELL = r"\b(?:fully|perfectly|completely|correctly|exactly|successfully|faithfully|accurately)"
_ASKED = r"(?:asked|requested|instructed|intended)\b"
_IS = r"(?:is|are|was|were|has been|have been|stays|stayed|remains|remained)"
_KEPT = r"(?:unchanged|untouched|preserved|intact|left alone|kept|identical|the same)\b"
_UNASKED = r"(?:unrequested|unasked|unwanted|unintended|unnecessary)"
_FLAWS = r"(?:artifacts?|artefacts?|distortions?|flaws?|defects?)\b"
_SUBJECT = r"\b(?:picture|image|photo|photograph|scene|result|it)"
_LOOKS = r"(?:looks?|appears?|seems?|is)(?: (?:very|entirely|completely|perfectly|fully|highly))?"
# "Nothing was changed in the background" is about the background.
_NOT_OF_A_PART = (
    r"(?!\s+(?:in|on|to|of|at|around|near|outside|beyond|elsewhere|else|other|apart|besides)\b)"
)


class Saying(NamedTuple):
    """A text's statement about one aspect."""

    praises: bool
    phrase: str


class Phrases(NamedTuple):
    """Phrases that praise or condemn one aspect."""

    praise: re.Pattern[str]
    blame: re.Pattern[str]

    def read(self, text: str) -> Saying | None:
        """The text's statement, if it is unambiguous and without hedges."""
        text = " ".join(text.casefold().replace("\u2019", "'").split())
        if _HEDGE.search(text):
            return None
        praised = list(self.praise.finditer(text))
        blamed = [match for match in self.blame.finditer(text) if not _is_denied(match)]
        if bool(praised) == bool(blamed) or any(map(_is_denied, praised)):
            return None
        return Saying(bool(praised), (praised or blamed)[0].group())


SUCCESS = Phrases(
    praise=re.compile(
        rf"{_WELL} {_DONE}|{_DONE} {_WELL}|\b(?:exactly|just|precisely) as {_ASKED}"
        rf"|{_TASK}[^.;!?]{{0,60}}? {_IS} (?:{_WELL} )?{_DONE}|\bsuccessfully \w+ed\b"
    ),
    blame=re.compile(
        rf"{_TASK}[^.;!?]{{0,60}}? (?:{_IS} not|isn't|wasn't|has not been|hasn't been)"
        rf"(?: at all)? {_DONE}|\bfail(?:s|ed) to {_DO}|\b(?:ignores?|ignored) the {_TASK}"
        rf"|\bedit (?:has )?failed\b|\bnothing {_IS} (?:changed|edited|done)\b{_NOT_OF_A_PART}"
        rf"|\bno (?:visible )?(?:edit|change) {_IS} (?:made|applied|visible)\b{_NOT_OF_A_PART}"
    ),
)
"""Of editing success, in the verdict behind ``<|global|>``."""

RESTRAINT = Phrases(
    praise=re.compile(
        rf"\bnothing else {_IS} (?:changed|altered|touched|edited|affected)\b"
        rf"|\beverything else {_IS} {_KEPT}"
        rf"|\brest of the (?:picture|image|photo|scene) {_IS} {_KEPT}"
        rf"|\bno (?:other|{_UNASKED}) (?:changes?|edits?)\b{_NOT_OF_A_PART}"
    ),
    blame=re.compile(
        r"\b(?:heavily|severely|grossly|badly) over-?edited\b"
        rf"|\b(?:many|several|major|obvious|significant|severe) {_UNASKED} (?:changes|edits)\b"
    ),
)
"""Of over-editing, in the verdict behind ``<|global|>``."""

NATURALNESS = Phrases(
    praise=re.compile(rf"{_SUBJECT} {_LOOKS} (?:natural|realistic|photorealistic|lifelike)\b"),
    blame=re.compile(
        rf"{_SUBJECT} {_LOOKS} (?:unnatural|unrealistic|implausible|artificial|fake)\b"
    ),
)
"""Of naturalness, in the PQ reasoning."""

CLEANNESS = Phrases(
    praise=re.compile(
        r"\b(?:no|without(?: any)?|free (?:of|from)(?: any)?)"
        rf" (?:(?:visible|obvious|noticeable|clear) )?{_FLAWS}{_NOT_OF_A_PART}"
        r"|\bart[ie]fact-free\b|\bflawless\b"
    ),
    blame=re.compile(
        rf"\b(?:severe|heavy|strong|glaring|massive|serious|many) (?:\w+ )?{_FLAWS}"
        r"|\b(?:badly|heavily|severely) (?:distorted|corrupted|garbled|blurred)\b"
    ),
)
"""Of freedom from artifacts, in the PQ reasoning."""


def _is_denied(match: re.Match[str]) -> bool:
    before = match.string[max(match.start() - _LOOKED_AT_BEFORE, 0) : match.start()]
    return _DENIAL.search(before) is not None
