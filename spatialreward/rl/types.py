"""Types exchanged between an editor's training, its rewards and the watch."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from spatialreward.editors.interface import FlowEditor
from spatialreward.edits import Edit
from spatialreward.records import Judgement


class Scored(NamedTuple):
    """Rewards of some edits."""

    rewards: dict[str, Tensor]
    """Name of a reward -> ``[B]`` on the CPU, NaN without a judgement."""
    judgements: list[Judgement] | None
    """Of the first reward that is a judge, one an edit, for advantages per region; None if no
    reward is one."""


class Reward(Protocol):
    """Scores edits by one or several named rewards; pinned to its initial judges.

    The training calls ``score`` from a background thread, one call at a time, with whole groups:
    the edits of one task are consecutive. Each process scores its own edits.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of ``Scored.rewards``, identical in every call."""
        ...

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each reward in the advantages, by name."""
        ...

    @property
    def card(self) -> Mapping[str, object]:
        """Its entry in an editor's card, such as the judge."""
        ...

    def score(self, edits: Sequence[Edit]) -> Scored:
        """The rewards of ``B`` edits.

        Raises:
            RewardError: too many edits failed.
            JudgeChangedError: some judgements are from another judge.
            ServingError: a served judge is unreachable.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """State that a resumed training must match; numbers, text and tensors only."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Load the result of ``state_dict``."""
        ...


class Verdict(NamedTuple):
    """The watch's verdict on a policy."""

    metrics: dict[str, float]
    """By name, such as ``held_out/reward``; reported with those of the step."""
    stop: str | None
    """Why to stop the training, in a sentence; None: continue."""
    is_best: bool
    """Whether it is the best policy so far: its checkpoint is kept."""


class Watch(Protocol):
    """Evaluates a policy periodically, independently of the training's rewards."""

    def __call__(self, step: int, policy: FlowEditor) -> Verdict:
        """Evaluate the policy after ``step`` steps.

        Called between two steps, on the averaged weights if there are any; it must leave the
        weights and the global random state unchanged. Only the first process calls it.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """History of the looks, for a resumed training."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Load the result of ``state_dict``."""
        ...
