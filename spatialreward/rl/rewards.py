"""The rewards of a training: all from one judge, or the training stops."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from spatialreward.edits import Edit, EditTask
from spatialreward.errors import SpatialRewardError
from spatialreward.judges.interface import Judging
from spatialreward.records import Judgement

# B edits


class RewardError(SpatialRewardError, RuntimeError):
    """The judge failed on so many edits that a step would learn from noise."""


class JudgeChangedError(SpatialRewardError, ValueError):
    """Another judge answers than the one that the training began with."""


class PinnedReward:
    """Rewards of the judge that gives the first of them, and of no other.

    Each judgement says by whom it is, in the line of a ``JudgeIdentity``, so that a server that is
    switched in the middle of a step is noticed, and so is one of several servers that has other
    weights under the same name and version. The line is a part of the state of a training: a
    resumed one holds to it.
    """

    def __init__(self, judging: Judging, max_failed_share: float) -> None:
        """Take a judge, whose identity is not known yet, and the share of edits it may fail on."""
        self._judging = judging
        self._max_failed_share = max_failed_share
        self.judged_by: str | None = None
        """Line of the judge's identity; None until there was a reward."""

    def score(self, tasks: Sequence[EditTask], edited: Sequence[Image.Image]) -> Tensor:
        """``[B]``, NaN where there is no judgement.

        Raises:
            RewardError: too many edits could not be judged.
            JudgeChangedError: another judge than before has judged some of them.
            ServingError: a served judge could not be asked.
        """
        judgements = self._judging.judge(
            [Edit.of(task, picture) for task, picture in zip(tasks, edited, strict=True)]
        )
        failed = [one for one in judgements if one.reward is None]
        if len(failed) > self._max_failed_share * len(judgements):
            raise RewardError(
                f"the judge failed on {len(failed)} of {len(judgements)} edits of one step, more "
                f"than the share of {self._max_failed_share:g} allowed; the first reason: "
                f"{failed[0].reason}"
            )
        self._check_judge(judgements)
        return torch.tensor([float("nan") if j.reward is None else j.reward for j in judgements])

    def state_dict(self) -> dict[str, Any]:
        """Who has judged so far."""
        return {"judged_by": self.judged_by}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Hold to who has judged before."""
        self.judged_by = state_dict["judged_by"]

    def _check_judge(self, judgements: Sequence[Judgement]) -> None:
        for judgement in judgements:
            if judgement.reward is None:
                continue
            if self.judged_by is None:
                self.judged_by = judgement.judged_by
            if judgement.judged_by != self.judged_by:
                raise JudgeChangedError(
                    f"rewards come from {judgement.judged_by}; the training began with "
                    f"{self.judged_by}; serve that one again, or train from the start"
                )
