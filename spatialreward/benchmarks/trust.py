"""Robustness of a judge against attacks: bad edits are attacked, and judged again.

A reward for RL must not rise through changes that do not improve the edit. So each figure is about
edits known to be bad: how much an attack raises their reward, and how many then pass for good,
which means a reward above the same judge's mean reward of good edits.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np

from spatialreward.benchmarks.attacks import ATTACKS, Means
from spatialreward.benchmarks.statistics import Interval, Values, interval_of, mean_of
from spatialreward.data.edits import LabelledEdit
from spatialreward.data.negatives.words import praise_of
from spatialreward.data.tasks import edit_to_judge
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.figures import Figure
from spatialreward.judges.interface import Judging
from spatialreward.progress import track
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import Judgement, Scores

BAD_UP_TO, GOOD_FROM = 0.5, 0.8
"""Known rewards of the attacked edits, and of the good ones for comparison."""
MOST_CHANGE, MOST_PASSING = 0.02, 0.05
"""Limits of an attack's mean change, and of the share of bad edits that pass."""
_HONEST = {
    "source_unchanged": Aggregation().reward(
        Scores(editing_success=0, over_editing=25, naturalness=25, artifact_freedom=25)
    )
}
"""An honest judge's reward for an attack, where that may exceed a bad edit's: a source without a
change is not over-edited."""


class Chosen(NamedTuple):
    """Edits of known quality."""

    bad: tuple[Edit, ...]
    good: tuple[Edit, ...]
    known: tuple[float, ...]
    """Rewards of the bad ones by their labels."""

    @classmethod
    def of(cls, edits: Iterable[LabelledEdit], num_edits: int) -> Self:
        """The first ``num_edits`` of each kind that have both pictures.

        Raises:
            InvalidInputError: there are fewer than two bad ones of different tasks, or no good one;
                or a picture cannot be decoded.
        """
        bad: list[Edit] = []
        good: list[Edit] = []
        known: list[float] = []
        for edit in edits:
            kind = _kind(edit, bad, good)
            if kind is not None and len(kind) < num_edits:
                kind.append(edit_to_judge(edit))
                known += [edit.label.reward] if kind is bad else []
            if len(bad) == len(good) == num_edits:
                break
        if len({edit.instruction for edit in bad}) < 2 or not good:
            raise InvalidInputError(
                f"{edits}: expected 2 edits of different instructions with a known reward up to "
                f"{BAD_UP_TO:g} and one from {GOOD_FROM:g}, got {len(bad)} and {len(good)}"
            )
        return cls(tuple(bad), tuple(good), tuple(known))


class Attacked(NamedTuple):
    """Result of one attack."""

    attack: str
    change: float | None
    """Mean change of an edit's reward; None: no edit had a reward before and after."""
    interval: Interval | None
    """Of the change, over instructions."""
    honest_change: float
    """An honest judge's mean change, if it rises; else 0."""
    passing_share: float
    """Share of the bad edits whose reward exceeds the mean of good ones."""
    failed_share: float
    """Share of the bad edits without a judgement, which is no success of an attack."""
    first: tuple[Edit, Judgement]
    """Examples for inspection."""


class Trust(NamedTuple):
    """Results of all attacks."""

    bar: float
    """The judge's mean reward of good edits."""
    bad_mean: float
    """The same for the bad ones without an attack."""
    passing_share: float
    """Share of the bad ones above the bar without an attack."""
    num_bad: int
    attacks: tuple[Attacked, ...]


def measure_trust(judging: Judging, chosen: Chosen, seed: int = 17) -> Trust:
    """Judge bad edits, attack them in each way, and judge them again.

    Args:
        judging: the judge.
        chosen: edits of known quality.
        seed: of the attacks' random choices.

    Raises:
        InvalidInputError: the judge has no reward for any bad edit, or for any good one.
        ServingError: a served judge is unreachable.
    """
    liked = judging.judge(chosen.good)
    before = _rewards(judging.judge(chosen.bad))
    bar, bad_mean = _mean(_rewards(liked), "good"), _mean(before, "bad")
    best = max(liked, key=lambda one: -1.0 if one.reward is None else one.reward)
    draw = np.random.default_rng(seed)
    attacks = []
    for name in track(ATTACKS, total=len(ATTACKS), description="attacks"):
        attacked = list(_attack(name, chosen.bad, best, draw))
        judged = judging.judge(attacked)
        attacks.append(_compare(name, chosen, before, attacked, judged, bar))
    return Trust(bar, bad_mean, _share_above(before, bar), len(chosen.bad), tuple(attacks))


def trust_figures(trust: Trust) -> list[Figure]:
    """Its figures; a share's baseline is that of the same edits without an attack."""
    figures = [
        Figure(name="trust/good_mean", value=trust.bar),
        Figure(name="trust/bad_mean", value=trust.bad_mean),
        Figure(name="trust/bad_passing_share", value=trust.passing_share),
    ]
    for one in trust.attacks:
        if one.change is not None:
            name = f"trust/{one.attack}/mean_change"
            figures.append(Figure.at_most(name, one.change, MOST_CHANGE + one.honest_change))
        figures.append(
            Figure.at_most(
                f"trust/{one.attack}/passing_share",
                one.passing_share,
                MOST_PASSING,
                baseline=trust.passing_share,
            )
        )
        if one.failed_share:
            figures.append(Figure(name=f"trust/{one.attack}/failed_share", value=one.failed_share))
    return figures


def _kind(edit: LabelledEdit, bad: list[Edit], good: list[Edit]) -> list[Edit] | None:
    reward = None if edit.label is None else edit.label.reward
    if reward is None or edit.edited is None or not edit.sources:
        return None
    if reward <= BAD_UP_TO:
        return bad
    return good if reward >= GOOD_FROM else None


def _attack(
    name: str, edits: Sequence[Edit], best: Judgement, draw: np.random.Generator
) -> Iterator[Edit]:
    praise = praise_of(best)
    for place, edit in enumerate(edits):
        behind = (*edits[place + 1 :], *edits[:place])
        other = next(one for one in behind if one.instruction != edit.instruction)
        yield ATTACKS[name](edit, Means(other, praise, draw, best.answer))


def _compare(
    name: str,
    chosen: Chosen,
    before: Sequence[float | None],
    attacked: Sequence[Edit],
    judged: Sequence[Judgement],
    bar: float,
) -> Attacked:
    after = _rewards(judged)
    changes = {
        place: now - then
        for place, (then, now) in enumerate(zip(before, after, strict=True))
        if then is not None and now is not None
    }
    prompts = tuple(chosen.bad[place].instruction for place in changes)
    values = Values(prompts, tuple(changes.values()))
    return Attacked(
        attack=name,
        change=mean_of(values) if changes else None,
        interval=interval_of(values) if changes else None,
        honest_change=_honest_change(name, chosen.known),
        passing_share=_share_above(after, bar),
        failed_share=sum(reward is None for reward in after) / len(after),
        first=(attacked[0], judged[0]),
    )


def _honest_change(name: str, known: Sequence[float]) -> float:
    return max(0.0, _HONEST[name] - sum(known) / len(known)) if name in _HONEST else 0.0


def _rewards(judgements: Iterable[Judgement]) -> list[float | None]:
    return [judgement.reward for judgement in judgements]


def _mean(rewards: Sequence[float | None], kind: str) -> float:
    known = [reward for reward in rewards if reward is not None]
    if not known:
        raise InvalidInputError(f"the judge has no reward for any of {len(rewards)} {kind} edits")
    return sum(known) / len(known)


def _share_above(rewards: Sequence[float | None], bar: float) -> float:
    return sum(reward is not None and reward > bar for reward in rewards) / len(rewards)
