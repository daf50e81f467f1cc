"""A self-ensemble: several sampled judgements of an edit, and their mean.

N passes cost N times as much as one. They use the edit's seed and the next N - 1, so the same edit
gets the same samples again from a judge that respects seeds.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.judges.interface import (
    ClosedAtEnd,
    Judging,
    Listener,
    Metered,
    Tokens,
    Writing,
    check_edits,
    listen_to_nothing,
)
from spatialreward.records import JudgeIdentity, Judgement, JudgementStatus, Mending, Scores

logger = logging.getLogger(__name__)

_SEEDS = 2**63


class SelfEnsemble(ClosedAtEnd):
    """A sampling judge, run several times an edit."""

    def __init__(self, judging: Judging, passes: int) -> None:
        """Take ownership of the judge; closing the ensemble closes it.

        Args:
            judging: samples its answers with the seed of an edit.
            passes: judgements per edit, at least 2.

        Raises:
            InvalidInputError: ``passes`` is below 2.
        """
        if passes < 2:
            raise InvalidInputError(f"passes: expected 2 or more for a mean, got {passes}")
        self._judging = judging
        self._passes = passes
        self._listener: Listener = listen_to_nothing
        self.failed_passes: Counter[Failure] = Counter()
        """Passes without a judgement so far, by reason, including those of failed judgements."""

    @property
    def notice(self) -> str:
        """A remark for readers of the judgements."""
        ours = f"each score and reward is the mean of up to {self._passes} drawn judgements"
        return f"{self._judging.notice}; {ours}" if self._judging.notice else ours

    @property
    def identity(self) -> JudgeIdentity:
        """Identity of the judge, with the number of passes."""
        one = self._judging.identity
        parts = filter(None, (one.aggregation, self._suffix))
        return one.model_copy(update={"aggregation": ", ".join(parts)})

    def judge(self, edits: Iterable[Edit]) -> list[Judgement]:
        """The mean of the passes over each edit, in order; all passes run in one call.

        Raises:
            InvalidInputError: an element of ``edits`` is not an edit; plus the judge's errors.
        """
        edits = check_edits(edits)
        drawn = [_drawn(edit, number) for edit in edits for number in range(self._passes)]
        if isinstance(self._judging, Writing):
            asked = {id(one): edits[number // self._passes] for number, one in enumerate(drawn)}
            self._judging.set_listener(lambda one, answers: self._listener(asked[id(one)], answers))
        judged = self._judging.judge(drawn)
        judgements = []
        for number in range(len(edits)):
            of_edit = judged[number * self._passes : (number + 1) * self._passes]
            self._count(edits[number].id or str(number), of_edit)
            mean = mean_judgement(of_edit)
            line = f"{of_edit[0].judged_by}, {self._suffix}" if of_edit[0].judged_by else ""
            judgements.append(mean.model_copy(update={"judged_by": line}))
        return judgements

    @property
    def tokens(self) -> Tokens:
        """Total over all passes; zero if the judge counts none. See ``Metered``."""
        return self._judging.tokens if isinstance(self._judging, Metered) else Tokens(0, 0)

    def set_listener(self, listener: Listener) -> None:
        """Listen to each pass; no effect if the judge exposes no answers. See ``Writing``."""
        self._listener = listener

    def close(self) -> None:
        """Close the judge."""
        self._judging.close()

    @property
    def _suffix(self) -> str:
        return f"mean of {self._passes} passes"

    def _count(self, name: str, judgements: Sequence[Judgement]) -> None:
        if failures := _failures(judgements):
            self.failed_passes += failures
            logger.warning("edit %s: %s", name, _summary(failures, len(judgements)))


def mean_judgement(passes: Sequence[Judgement]) -> Judgement:
    """The mean of several judgements of one edit.

    Each score and the reward is the mean over the readable passes; regions and reasoning come from
    the first one, because boxes have no mean. Soft scores need all passes to have them. With fewer
    than half of the passes readable the judgement fails.
    """
    readable = [one for one in passes if one.status is JudgementStatus.OK]
    failures = _failures(passes)
    if 2 * len(readable) < len(passes):
        first = next(one for one in passes if one.status is JudgementStatus.FAILED)
        failed = Judgement.failed(
            f"{_summary(failures, len(passes))}; the first: {first.reason}",
            failures.most_common(1)[0][0],
        )
        return failed.model_copy(update={"answer": first.answer})
    first = readable[0]
    soft = [one.soft_scores for one in readable if one.soft_scores is not None]
    mended = {one for each in readable for one in each.mended}
    return first.model_copy(
        update={
            "scores": _mean_scores([one.scores for one in readable if one.scores is not None]),
            "soft_scores": _mean_scores(soft) if len(soft) == len(readable) else None,
            "reward": _mean([one.reward for one in readable if one.reward is not None]),
            "mended": tuple(one for one in Mending if one in mended),
        }
    )


def _drawn(edit: Edit, number: int) -> Edit:
    seed = ((edit.options.seed or 0) + number) % _SEEDS
    return replace(edit, options=edit.options.model_copy(update={"seed": seed}))


def _failures(judgements: Sequence[Judgement]) -> Counter[Failure]:
    return Counter(one.failure for one in judgements if one.failure is not None)


def _summary(failures: Counter[Failure], passes: int) -> str:
    reasons = ", ".join(f"{count} {failure}" for failure, count in failures.most_common())
    return f"{failures.total()} of {passes} passes have no judgement ({reasons})"


def _mean_scores(scores: Sequence[Scores]) -> Scores:
    given = [one.given() for one in scores]
    return Scores(**{name: _mean([one[name] for one in given]) for name in given[0]})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
