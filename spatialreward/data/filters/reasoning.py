"""Checks whether a teacher's reasoning fits its regions and scores.

Rules only report what is certain. What they cannot read, such as languages other than English, is
left to the teacher's second pass.
"""

import re
from collections import Counter

from pydantic import ValidationError

from spatialreward.data.edits import Extent, LabelledEdit, SpatialPrior
from spatialreward.data.filters.boxes import check_boxes
from spatialreward.data.filters.config import EvidenceRules, ReasoningRules
from spatialreward.data.filters.reasons import Finding, Reason
from spatialreward.data.filters.verdicts import CLEANNESS, NATURALNESS, RESTRAINT, SUCCESS, Phrases
from spatialreward.data.filters.words import instruction_words, words_of
from spatialreward.protocol.parsing import SemanticAnswer
from spatialreward.records import Judgement

VERDICT = "<|global|>"
_REPEATED_RUN = 4
# Shorter texts repeat words by chance.
_WORDS_BEFORE_REPETITION_COUNTS = 16


def check_annotation(
    annotation: Judgement,
    instruction: str,
    prior: SpatialPrior,
    rules: ReasoningRules,
    evidence: EvidenceRules,
) -> Finding | None:
    """The finding against an annotation; None if plausible.

    Rules run in the order of their inputs: form first, then the text, then scores and pixels.
    """
    return (
        check_regions(annotation)
        or check_degenerate(annotation, instruction, rules)
        or check_scores(annotation, prior, rules)
        or check_boxes(annotation.regions, prior, evidence)
    )


def check_regions(annotation: Judgement) -> Finding | None:
    """The finding against invented or missing regions, or a missing verdict.

    Invented regions are detected as in the judge's own answers, so every taught answer can be
    parsed.
    """
    if annotation.scores.editing_success is None:
        return None
    try:
        SemanticAnswer(
            edit_region=annotation.regions,
            reasoning=annotation.sc_reasoning,
            score=(annotation.scores.editing_success, annotation.scores.over_editing),
        )
    except ValidationError as error:
        return Finding(Reason.UNKNOWN_REGION, error.errors()[0]["msg"])
    for region in annotation.regions:
        if not words_of(_part_of(annotation.sc_reasoning, f"<|bbox_{region.id}|>")):
            return Finding(
                Reason.REGION_LEFT_OUT, f"nothing is said about region {region.id}, {region.label}"
            )
    if not words_of(_part_of(annotation.sc_reasoning, VERDICT)):
        return Finding(Reason.NO_VERDICT, f"nothing stands behind {VERDICT}")
    return None


def check_degenerate(
    annotation: Judgement, instruction: str, rules: ReasoningRules
) -> Finding | None:
    """The finding against a reasoning that is too short, repetitive or copies the instruction."""
    scores = annotation.scores
    texts = []
    if scores.editing_success is not None:
        texts.append(("sc_reasoning", annotation.sc_reasoning))
    if scores.naturalness is not None:
        texts.append(("pq_reasoning", annotation.pq_reasoning))
    for field, text in texts:
        if problem := _degenerate(text, instruction, rules):
            return Finding(Reason.DEGENERATE_ANSWER, f"{field}: {problem}")
    return None


def check_scores(
    annotation: Judgement, prior: SpatialPrior, rules: ReasoningRules
) -> Finding | None:
    """The finding against a score that contradicts the pixels or the reasoning."""
    scores = annotation.scores
    if scores.editing_success is not None and (
        problem := _against_pixels(annotation, prior, rules)
    ):
        return Finding(Reason.CONTRADICTION, problem)
    verdict = _part_of(annotation.sc_reasoning, VERDICT)
    said: list[tuple[str, float | None, Phrases, str]] = [
        ("editing_success", scores.editing_success, SUCCESS, verdict),
        ("over_editing", scores.over_editing, RESTRAINT, verdict),
        ("naturalness", scores.naturalness, NATURALNESS, annotation.pq_reasoning),
        ("artifact_freedom", scores.artifact_freedom, CLEANNESS, annotation.pq_reasoning),
    ]
    for field, score, phrases, text in said:
        saying = None if score is None else phrases.read(text)
        if saying and (score <= rules.low if saying.praises else score >= rules.high):
            return Finding(
                Reason.CONTRADICTION, f"{field} is {score:g}, the reasoning says {saying.phrase!r}"
            )
    return None


def check_second_pass(edit: LabelledEdit, rules: ReasoningRules) -> Finding | None:
    """The finding against a label that the teacher's second pass rejected."""
    if edit.label is None or edit.verified is not False or rules.keep_unverified:
        return None
    return Finding(Reason.NOT_VERIFIED, f"{edit.label.judged_by} disagreed at a second look")


def _against_pixels(
    annotation: Judgement, prior: SpatialPrior, rules: ReasoningRules
) -> str | None:
    success, restraint = annotation.scores.editing_success, annotation.scores.over_editing
    most = rules.success_of_nothing
    if prior.extent is not Extent.NOTHING:
        if not annotation.regions and success > most:
            return f"editing_success is {success:g}, no region is named (at most {most:g} then)"
        return None
    if annotation.regions:
        return f"{len(annotation.regions)} regions are named, and no pixel changed"
    if success > most:
        return f"editing_success is {success:g}, and no pixel changed (at most {most:g} then)"
    if restraint <= rules.low:
        return f"over_editing is {restraint:g}, and no pixel changed"
    return None


def _degenerate(text: str, instruction: str, rules: ReasoningRules) -> str | None:
    words = words_of(text)
    if len(words) < rules.min_words:
        return f"{len(words)} words, expected {rules.min_words} at least"
    repeated = _repeated_share(words)
    if repeated > rules.max_repeated_share:
        return f"{100 * repeated:.0f} % of it is repeated"
    if _is_copy(words, instruction_words(instruction), rules.min_words):
        return "repeats the instruction and adds nothing"
    return None


def _repeated_share(words: list[str]) -> float:
    """Share of four-word sequences that repeat earlier ones."""
    if len(words) < _WORDS_BEFORE_REPETITION_COUNTS:
        return 0.0
    runs = [tuple(words[at : at + _REPEATED_RUN]) for at in range(len(words) - _REPEATED_RUN + 1)]
    return 1 - len(set(runs)) / len(runs)


def _is_copy(words: list[str], asked: list[str], fewest_others: int) -> bool:
    written = instruction_words(" ".join(words))
    holds_it = any(
        written[at : at + len(asked)] == asked for at in range(len(written) - len(asked) + 1)
    )
    others = Counter(written) - Counter(asked)
    return bool(asked) and holds_it and others.total() < fewest_others


def _part_of(reasoning: str, tag: str) -> str:
    """The text between each ``tag`` and the next tag of any kind."""
    parts = re.findall(rf"{re.escape(tag)}(.*?)(?=<\|[^|<>]*\|>|$)", reasoning, re.DOTALL)
    return " ".join(parts)
