"""The claim in words and tables: Markdown, and the same facts for programs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spatialreward.figures import Figure
from spatialreward.world.rl_claim.comparing import SHARE, Table, kept
from spatialreward.world.rl_claim.config import RlClaimConfig
from spatialreward.world.rl_claim.running import RlClaim
from spatialreward.world.rl_claim.training import Trained

_CLAIM = "claim/"


def _rise(name: str) -> Callable[[Trained], float | None]:
    """Change of a watch's metric from the first look to the last."""

    def of(one: Trained) -> float | None:
        ends = [look.watch.get(f"watch/{name}") for look in (one.looks[0], one.looks[-1])]
        return None if None in ends else ends[1] - ends[0]

    return of


_WATCHED: Mapping[str, Callable[[Trained], float | None]] = {
    "own reward": _rise("training_reward"),
    "held-out judge": _rise("held_out_reward"),
    "oracle": _rise("oracle_reward"),
    "no edits": _rise("no_edit_share"),
    "over-edits": _rise("over_edit_share"),
    "diversity": _rise("diversity"),
    "sharpness": _rise("sharpness"),
    "grid": _rise("grid"),
    "KL": lambda one: one.told.kl,
    "would stop": lambda one: float(any(look.stop for look in one.looks)),
    "kept step": lambda one: float(kept(one).step),
    "failed": lambda one: one.told.failed_share,
    "no spread": lambda one: one.told.without_spread_share,
    "whole picture": lambda one: one.told.whole_picture_share,
}
"""Means over seeds of the watch's and the steps' metrics, by heading."""


def watched(table: Table) -> dict[str, dict[str, float]]:
    """By reward and heading; omits missing values."""
    return {
        kind: {
            heading: float(np.mean(known))
            for heading, of in _WATCHED.items()
            if (known := [value for one in trainings if (value := of(one)) is not None])
        }
        for kind, trainings in table.items()
    }


def by_training(table: Table) -> list[dict[str, Any]]:
    """Each training: the results of oracle, by prompt, and watch at each look."""
    return [one.model_dump(mode="json") for trainings in table.values() for one in trainings]


def markdown(config: RlClaimConfig, claim: RlClaim, table: Table, figures: Sequence[Figure]) -> str:
    """Everything on one page."""
    rl = config.rl
    edits = rl.num_steps * rl.num_prompts * rl.group_size
    lines = [
        "# Does a judge that predicts regions make a better editor?",
        "",
        f"One editor, trained with each of {len(config.rewards)} rewards for {rl.num_steps} steps "
        f"of {rl.num_prompts} groups of {rl.group_size} edits ({edits} edits), "
        f"{len(config.seeds)} seeds each. The oracle measures {config.held_out.num_prompts} "
        "held-out prompts, one edit each from the same noise. Intervals are of 95 %, over prompts "
        f"and seeds; the spread is that of the seeds. {_judges_in_words(config)}",
        "",
        _learning_rates_in_words(claim),
        "",
        "## The claim",
        "",
        *_figures([one for one in figures if one.name.startswith(_CLAIM)]),
        "",
        *_ceiling_in_words(figures),
        "## Results by reward",
        "",
        *_figures([one for one in figures if not one.name.startswith(_CLAIM)]),
        "",
        "## The watch on reward hacking",
        "",
        "Means over seeds. Rewards, shares and statistics of pictures: from the first look to the "
        "last, on the watch's own prompts. KL: in the last step. Would stop: share of the seeds "
        "whose training the watch would have stopped. Kept step: of the policy that the held-out "
        "judge calls best. Failed: share of the edits without a judgement. No spread: share of "
        "the groups without advantages. Whole picture: share of the groups in which the "
        "judge's regions distinguished no places.",
        "",
        *_table(
            ("reward", *_WATCHED),
            [
                (kind, *(_number(values.get(heading)) for heading in _WATCHED))
                for kind, values in watched(table).items()
            ],
        ),
        "",
    ]
    return "\n".join(lines)


def _judges_in_words(config: RlClaimConfig) -> str:
    if config.judges_by_seed:
        return "Each seed has judges of a training of their own."
    return "All seeds have the same judges, so how their trainings differ is in no interval."


def _ceiling_in_words(figures: Sequence[Figure]) -> list[str]:
    if any(one.name.startswith(SHARE) for one in figures):
        return []
    words = (
        "The gain of the oracle's own reward is not above 0, so nothing can be a share of it: "
        "target not reached."
    )
    return [words, ""]


def _learning_rates_in_words(claim: RlClaim) -> str:
    if len(claim.tried) == 1:
        return f"Learning rate {claim.learning_rate:g}, of the settings."
    tried = ", ".join(f"{rate:g}: {gain:+.3f}" for rate, gain in claim.tried.items())
    return (
        f"Learning rate {claim.learning_rate:g}, chosen once with the oracle's reward on prompts "
        f"of their own (its gain with {tried})."
    )


def _figures(figures: Sequence[Figure]) -> list[str]:
    def ends(of: tuple[float, float] | None) -> str:
        return "" if of is None else f"{_number(of[0])} .. {_number(of[1])}"

    words = {True: "target reached", False: "target not reached", None: ""}
    return _table(
        ("figure", "value", "95 % interval", "spread of seeds", "target", ""),
        [
            (
                f"`{one.name}`",
                f"{_number(one.value)} {one.unit}".strip(),
                ends(one.interval),
                ends(one.spread),
                _number(one.target),
                words[one.reached],
            )
            for one in figures
        ],
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
