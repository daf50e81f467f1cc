"""Parses the answers of public judges with their own formats.

Scores are converted to the common scale by the protocol's. An unreadable answer is an error of
the common closed list, never a middle score.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from spatialreward.errors import Failure, JudgementError
from spatialreward.protocol import mending
from spatialreward.protocol.formats import AnswerFormat, ScoreScale
from spatialreward.protocol.parsing import answer_value
from spatialreward.protocol.prompts import Protocol
from spatialreward.protocol.scanning import THOUGHT_ENDS
from spatialreward.records import (
    MAX_SCORE,
    SCORES_OF,
    AnswerForm,
    Judgement,
    JudgementStatus,
    Mending,
    Scores,
    Streams,
)

_SCORE_KEYS = ("reasoning", "score")
_SUMMARY = re.compile(r"^[ \t*]*#+[ \t]*Summary\b", re.MULTILINE)
_SCORE_LINE = re.compile(
    r"^[ \t#*]*Score[ \t*]*:[ \t*]*(?P<score>N/A|-?[0-9]{1,9}(?:\.[0-9]{1,9})?)", re.MULTILINE
)
_NOT_APPLICABLE = "N/A"


class _Aspect(NamedTuple):
    """A section of a critique."""

    heading: str
    stream: Streams
    is_optional: bool = False
    """Whether the section may say that it does not apply."""


_ASPECTS: Mapping[str, _Aspect] = MappingProxyType(
    {
        "text": _Aspect("Text Faithfulness", Streams.SEMANTIC),
        "image": _Aspect("Image Faithfulness", Streams.SEMANTIC),
        "physical": _Aspect("Physical and Visual Quality", Streams.PERCEPTUAL),
        "rendering": _Aspect("Text Rendering", Streams.SEMANTIC, is_optional=True),
    }
)
_HEADING = re.compile(
    rf"^[ \t#*]*[0-9]+\.[ \t*]*(?P<heading>{'|'.join(one.heading for one in _ASPECTS.values())})"
    r"[ \t*]*:?",
    re.MULTILINE,
)


def read_public(protocol: Protocol, texts: Mapping[Streams, str], streams: Streams) -> Judgement:
    """Parse a public judge's answers into a judgement.

    Args:
        protocol: with a format parsed here: ``one_score``, ``two_scores`` or ``critique``.
        texts: the written answers, by prompt.
        streams: the requested streams; the reward covers these.

    Raises:
        JudgementError: an answer has another format, or its score is off the scale.
    """
    match protocol.format:
        case AnswerFormat.ONE_SCORE:
            return _of_one_score_each(protocol, texts)
        case AnswerFormat.TWO_SCORES:
            return _of_two_scores_each(protocol, texts)
        case AnswerFormat.CRITIQUE:
            return _of_critique(texts[Streams.SEMANTIC], protocol.scale, streams)
    raise AssertionError(f"{protocol.format} has no reader here")


def _of_one_score_each(protocol: Protocol, texts: Mapping[Streams, str]) -> Judgement:
    mended: mending.Mended = set()
    [execution], why_execution = _scores(texts[Streams.SEMANTIC], 1, protocol, mended)
    [consistency], why_consistency = _scores(texts[Streams.PERCEPTUAL], 1, protocol, mended)
    scores = Scores(editing_success=execution, over_editing=consistency)
    return Judgement(
        status=JudgementStatus.OK,
        answer=AnswerForm.REASONING,
        sc_reasoning="\n".join(filter(None, (why_execution, why_consistency))),
        scores=scores,
        reward=protocol.aggregation.reward(scores),
        mended=_in_order(mended),
    )


def _of_two_scores_each(protocol: Protocol, texts: Mapping[Streams, str]) -> Judgement:
    mended: mending.Mended = set()
    scores: dict[str, float] = {}
    reasoning = {Streams.SEMANTIC: "", Streams.PERCEPTUAL: ""}
    for stream, text in texts.items():
        given, reasoning[stream] = _scores(text, 2, protocol, mended)
        scores |= zip(SCORES_OF[stream], given, strict=True)
    return Judgement(
        status=JudgementStatus.OK,
        answer=AnswerForm.REASONING,
        sc_reasoning=reasoning[Streams.SEMANTIC],
        pq_reasoning=reasoning[Streams.PERCEPTUAL],
        scores=Scores(**scores),
        reward=protocol.aggregation.reward(Scores(**scores)),
        mended=_in_order(mended),
    )


def _scores(
    text: str, number: int, protocol: Protocol, mended: mending.Mended
) -> tuple[list[float], str]:
    """The given number of scores, 0..25, and the reasoning beside them."""
    value = mending.known_keys(answer_value(text, mended), _SCORE_KEYS, mended)
    given, reasoning = value.get("score"), value.get("reasoning", "")
    # Accept a single score without its list.
    listed = given if isinstance(given, list) else [given]
    if len(listed) != number:
        expected = "one score" if number == 1 else f"{number} scores"
        raise JudgementError(f"score: expected {expected}, got {len(listed)}")
    numbers = [mending.unquoted_score(one, mended) for one in listed]
    if refused := [one for one in _in_order(mended) if one not in protocol.mendings]:
        reason = f"answer needs mending ({refused[0]}), which is not allowed"
        raise JudgementError(reason, Failure.WRONG_FORM)
    for one in numbers:
        if isinstance(one, bool) or not isinstance(one, int | float):
            raise JudgementError(f"score: expected a number, got {one!r}"[:200])
    if not isinstance(reasoning, str):
        raise JudgementError(f"reasoning: expected a text, got {reasoning!r}"[:200])
    return [_on_scale(one, protocol.scale, "score") for one in numbers], reasoning


def _of_critique(text: str, scale: ScoreScale, streams: Streams) -> Judgement:
    thought, ends, rest = text.rpartition(THOUGHT_ENDS)
    sections = _sections(rest if ends else text)
    scores = {
        name: _section_score(sections[name], aspect, scale)
        for name, aspect in _ASPECTS.items()
        if streams in (aspect.stream, Streams.BOTH)
    }
    given = [score for score in scores.values() if score is not None]
    quality = scores.get("physical")
    return Judgement(
        status=JudgementStatus.OK,
        answer=AnswerForm.REASONING,
        sc_reasoning=_reasoning(sections, Streams.SEMANTIC, streams),
        pq_reasoning=_reasoning(sections, Streams.PERCEPTUAL, streams),
        scores=Scores(
            editing_success=scores.get("text"),
            over_editing=scores.get("image"),
            # One number is all that this judge says about quality.
            naturalness=quality,
            artifact_freedom=quality,
        ),
        reward=sum(given) / len(given) / MAX_SCORE,
        mended=(Mending.THOUGHT,) if ends and thought.strip() else (),
    )


def _sections(text: str) -> dict[str, str]:
    """The text after each aspect's heading, up to the next one or the summary."""
    if not text.strip():
        raise JudgementError("the answer is empty", Failure.NO_ANSWER)
    summary = _SUMMARY.search(text)
    body = text[: summary.start()] if summary else text
    found = list(_HEADING.finditer(body))
    if not found:
        reason = f"the answer has no section of a critique; it begins {text[:80]!r}"
        raise JudgementError(reason, Failure.NO_ANSWER)
    ends = [*(one.start() for one in found[1:]), len(body)]
    sections: dict[str, str] = {}
    for heading, end in zip(found, ends, strict=True):
        name = next(n for n, one in _ASPECTS.items() if one.heading == heading["heading"])
        if name in sections:
            raise JudgementError(f"the section {heading['heading']!r} stands there twice")
        sections[name] = body[heading.end() : end].strip()
    if missing := [one.heading for name, one in _ASPECTS.items() if name not in sections]:
        raise JudgementError(f"the section {missing[0]!r} is missing")
    return sections


def _section_score(section: str, aspect: _Aspect, scale: ScoreScale) -> float | None:
    """The score of a section, 0..25; None where it does not apply."""
    written = {one["score"] for one in _SCORE_LINE.finditer(section)}
    if len(written) != 1:
        raise JudgementError(f"{aspect.heading}: expected one score, got {len(written)}")
    (score,) = written
    if score != _NOT_APPLICABLE:
        return _on_scale(float(score), scale, aspect.heading)
    if not aspect.is_optional:
        raise JudgementError(f"{aspect.heading}: expected a number, got {score}")
    return None


def _reasoning(sections: Mapping[str, str], stream: Streams, streams: Streams) -> str:
    if streams not in (stream, Streams.BOTH):
        return ""
    lines = [
        f"{one.heading}: {sections[name]}" for name, one in _ASPECTS.items() if one.stream is stream
    ]
    return "\n".join(lines)


def _on_scale(written: float, scale: ScoreScale, where: str) -> float:
    if not scale.holds(written):
        reason = f"{where}: expected {scale.lowest:g} to {scale.highest:g}, got {written:g}"
        raise JudgementError(reason, Failure.SCORE_OUT_OF_RANGE)
    return scale.common(written)


def _in_order(mended: mending.Mended) -> Sequence[Mending]:
    return tuple(one for one in Mending if one in mended)
