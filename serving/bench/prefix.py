"""Effects of the engine's optimisations, and a check that sharing changes no answer."""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from serving.bench.workload import Group
from spatialreward.edits import Edit
from spatialreward.figures import Figure
from spatialreward.judges.engines.engine import Judge
from spatialreward.records import Judgement, JudgingOptions, ScoreKind, Streams


class Variant(NamedTuple):
    """One way to judge the same edits."""

    name: str
    ms_per_judgement: float


def sharing_figures(judge: Path, work: Sequence[Group]) -> list[Figure]:
    """Prompt tokens saved, and the largest resulting difference of an answer."""
    shared, full = Judge.load(judge), Judge.load(judge, share_prefixes=False)
    amounts: Counter = Counter()
    same, difference = [], 0.0
    for group in work:
        ours = shared.judge(group, lambda name, amount: amounts.update({name: amount}))
        for one, other in zip(ours, full.judge(group), strict=True):
            same.append(_text(one) == _text(other))
            difference = max(difference, _difference(one, other))
    count = sum(map(len, work))
    asked, computed = amounts["prompt_tokens/asked"], amounts["prompt_tokens/computed"]
    return [
        Figure(
            name="prefix/prompt_tokens_per_judgement",
            value=computed / count,
            baseline=asked / count,
        ),
        Figure.at_least("prefix/prompt_token_saving", 1 - computed / asked, 0.4, baseline=0.0),
        Figure.at_least("prefix/same_answers", sum(same) / count, 1.0),
        Figure.at_most("prefix/largest_score_difference", difference, 1e-3),
        Figure(
            name="prefix/pictures_encoded_per_judgement",
            value=amounts["pictures/encoded"] / count,
            baseline=amounts["pictures/shown"] / count,
        ),
    ]


def variants(judge: Path, work: Sequence[Group], repeats: int) -> list[Variant]:
    """Milliseconds a judgement, with one optimisation off at a time; medians in turn."""
    edits = list(chain.from_iterable(work))
    shared, full = (
        Judge.load(judge, batch_size=len(edits), share_prefixes=share) for share in (True, False)
    )
    hard = [_with(edit, scores=ScoreKind.HARD) for edit in edits]
    streams = [
        [_with(edit, streams=one) for edit in edits]
        for one in (Streams.SEMANTIC, Streams.PERCEPTUAL)
    ]
    ways = {
        f"all of it, {len(edits)} edits in one batch": lambda: shared.judge(edits),
        "without shared prefixes": lambda: full.judge(edits),
        "without batches across groups": lambda: [shared.judge(group) for group in work],
        "one stream after the other": lambda: [shared.judge(one) for one in streams],
        "hard scores instead of soft ones": lambda: shared.judge(hard),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.monotonic()
            way()
            seconds[name].append(time.monotonic() - start)
    return [
        Variant(name, statistics.median(times) / len(edits) * 1e3)
        for name, times in seconds.items()
    ]


def _with(edit: Edit, **options: object) -> Edit:
    return replace(edit, options=JudgingOptions(**options))


def _text(judgement: Judgement) -> tuple:
    return (
        judgement.regions,
        judgement.sc_reasoning,
        judgement.pq_reasoning,
        judgement.scores,
        judgement.reason,
    )


def _difference(one: Judgement, other: Judgement) -> float:
    if one.soft_scores is None or other.soft_scores is None:
        return 0.0
    pairs = zip(one.soft_scores.given().values(), other.soft_scores.given().values(), strict=True)
    return max(abs(left - right) for left, right in pairs)
