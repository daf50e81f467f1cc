"""The rewards of a training, from several pinned judges, with waits for unavailable ones."""

import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.judges.interface import ClosedAtEnd, Judging
from spatialreward.judges.load import load_judge
from spatialreward.judges.pixels import differing_pixels
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import BOX_SCALE, EditRegion, Judgement, ScoreKind
from spatialreward.rl.pinning import JudgeChangedError, PatientJudge, RewardError
from spatialreward.rl.reward_config import (
    JudgeConfig,
    PatienceConfig,
    RewardConfig,
    RewardForm,
    check_labels,
)
from spatialreward.rl.types import Scored

__all__ = ["JudgeChangedError", "RewardError", "Rewards", "total"]

# B edits, H W height and width of an edited picture

_MODULATED = Aggregation(form="modulated")


class _Part(NamedTuple):
    """One reward, and the index of its judge."""

    config: RewardConfig
    judge: int


class Rewards(ClosedAtEnd):
    """Rewards by name, each computed from one judge's judgements; a ``types.Reward``.

    Calls all judges in parallel, and a judge shared by several rewards only once. Safe to use from
    several threads, which take turns.
    """

    def __init__(
        self,
        rewards: Sequence[RewardConfig],
        patience: PatienceConfig,
        of_run: Judging | None = None,
    ) -> None:
        """Open the judges named by rewards; closing this closes them, but not the run's judge.

        Args:
            rewards: at least one, with different names.
            patience: how to handle a failing judge.
            of_run: the judge of rewards that name none.

        Raises:
            InvalidInputError: neither a reward nor the run names a judge, two have the same name,
                or as ``load_judge``.
            HubError, MissingPackageError, TrackingError, StorageError: as ``load_judge``.
        """
        try:
            check_labels(rewards, "rewards")
        except ValueError as error:
            raise InvalidInputError(str(error)) from error
        self._judges: list[PatientJudge] = []
        self._opened: list[Judging] = []
        self._parts: list[_Part] = []
        self._one_at_a_time = threading.Lock()
        self._stop = threading.Event()
        self._is_closed = False
        numbers: dict[JudgeConfig, int] = {}
        try:
            for one in rewards:
                which = JudgeConfig(judge=one.judge, **one.options)
                if which not in numbers:
                    numbers[which] = len(self._judges)
                    judging = self._open(one, of_run)
                    self._judges.append(PatientJudge(one.label, judging, patience))
                self._parts.append(_Part(one, numbers[which]))
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of ``Scored.rewards``."""
        return tuple(part.config.label for part in self._parts)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each reward, by name."""
        return {part.config.label: part.config.weight for part in self._parts}

    @property
    def card(self) -> Mapping[str, object]:
        """The judges, and how judgements become rewards."""
        rewards = [
            {
                "name": part.config.label,
                "weight": part.config.weight,
                "form": str(part.config.form),
                "judged_by": self._judges[part.judge].judged_by,
                "notice": self._judges[part.judge].notice,
            }
            for part in self._parts
        ]
        first = self._judges[0]
        return {
            "reward_of": first.notice or "a judge without a notice",
            "judged_by": first.judged_by,
            "rewards": rewards,
        }

    @property
    def seconds_waited(self) -> float:
        """Total time spent waiting for unavailable judges."""
        return sum(one.seconds_waited for one in self._judges)

    def score(self, edits: Sequence[Edit]) -> Scored:
        """The rewards of ``B`` edits; NaN for a failed judgement, never a default.

        Raises:
            RewardError: too many edits failed, a judge was unavailable for too long, or ``stop``
                ended the wait.
            JudgeChangedError: some judgements are from another judge.
            InvalidInputError: a reward about changes outside regions has a judge without regions,
                or a judge refuses its key or similar.
            ServingError: a server's refusal is permanent.
        """
        with self._one_at_a_time:
            self._stop = threading.Event()
            if self._is_closed:
                raise SpatialRewardError("these rewards have been closed")
            judged = self._judge_all(edits)
        rewards = {
            part.config.label: _rewards(part.config, edits, judged[part.judge])
            for part in self._parts
        }
        return Scored(rewards, judged[self._parts[0].judge])

    def stop(self) -> None:
        """Abort a wait for a judge in another thread; its ``score`` raises."""
        self._stop.set()

    def close(self) -> None:
        """Abort the wait, and close the judges opened here."""
        self._is_closed = True
        self.stop()
        for judging in self._opened:
            judging.close()

    def state_dict(self) -> dict[str, Any]:
        """The pinned judges."""
        return {"judges": [one.state_dict() for one in self._judges]}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Restore the pinned judges."""
        for judge, state in zip(self._judges, state_dict["judges"], strict=True):
            judge.load_state_dict(state)

    def _open(self, config: RewardConfig, of_run: Judging | None) -> Judging:
        if config.judge:
            self._opened.append(load_judge(config.judge, **config.options))
            return self._opened[-1]
        if of_run is None:
            raise InvalidInputError(f"reward {config.label}: judge: expected one, got none")
        return of_run

    def _judge_all(self, edits: Sequence[Edit]) -> list[list[Judgement]]:
        """The judgements of each judge; the first failure aborts the waits for the others."""
        stop = self._stop
        with ThreadPoolExecutor(len(self._judges), thread_name_prefix="reward") as threads:
            asked = [threads.submit(one.judge, edits, stop) for one in self._judges]
            try:
                for one in as_completed(asked):
                    one.result()
            except BaseException:
                stop.set()
                raise
        return [one.result() for one in asked]


def total(scored: Scored, weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of all rewards, ``[B]``; NaN if one is missing."""
    return torch.stack([weights[name] * of_B for name, of_B in scored.rewards.items()]).sum(dim=0)


def _rewards(
    config: RewardConfig, edits: Sequence[Edit], judgements: Sequence[Judgement]
) -> Tensor:
    """``[B]``, NaN for a failed judgement."""
    pairs = zip(edits, judgements, strict=True)
    values = [math.nan if one.reward is None else _value(config, edit, one) for edit, one in pairs]
    return torch.tensor(values)


def _value(config: RewardConfig, edit: Edit, judgement: Judgement) -> float:
    match config.form:
        case RewardForm.REWARD:
            return judgement.reward
        case RewardForm.CONSISTENT:
            asks_for_soft = edit.options.scores is ScoreKind.SOFT
            soft = judgement.soft_scores if asks_for_soft else None
            return _MODULATED.reward(soft or judgement.scores)
        case RewardForm.UNTOUCHED:
            if not judgement.answer.has_regions:
                raise InvalidInputError(
                    f"reward {config.label}: form untouched is about what lies outside of edit "
                    f"regions, and {judgement.judged_by} predicts none"
                )
            return untouched_share(edit, judgement.regions)


def untouched_share(edit: Edit, regions: Sequence[EditRegion]) -> float:
    """1 - the share of the picture outside regions that differs from the source, by pixels."""
    changed_HW = differing_pixels(edit)
    height, width = changed_HW.shape
    for region in regions:
        x1, y1, x2, y2 = region.bbox_2d
        rows = slice(y1 * height // BOX_SCALE, -(-y2 * height // BOX_SCALE))
        columns = slice(x1 * width // BOX_SCALE, -(-x2 * width // BOX_SCALE))
        changed_HW[rows, columns] = False
    return float(1 - changed_HW.mean())
