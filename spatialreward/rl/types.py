"""What the training of an editor hands to rewards and the watch, and gets from them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from spatialreward.editors.interface import FlowEditor
from spatialreward.edits import Edit
from spatialreward.records import Judgement


class Scored(NamedTuple):
    """What some edits are worth."""

    rewards: dict[str, Tensor]
    """Name of a reward -> ``[B]`` on the CPU, NaN where there is no judgement."""
    judgements: list[Judgement] | None
    """Of the first reward that is a judge, one an edit, for advantages per region; None where no
    reward is one."""


class Reward(Protocol):
    """Says what edits are worth, by one or several names; holds to the judges it began with.

    The training calls ``score`` from a background thread, one call at a time, with whole groups:
    the edits of one task follow each other. Of several processes each scores its own edits.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of ``Scored.rewards``, the same ones in every call."""
        ...

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each reward in the advantages, by its name."""
        ...

    @property
    def card(self) -> Mapping[str, object]:
        """What the card of an editor says of it, such as who judged."""
        ...

    def score(self, edits: Sequence[Edit]) -> Scored:
        """The rewards of ``B`` edits.

        Raises:
            RewardError: too many edits could not be judged.
            JudgeChangedError: another judge than before has judged some of them.
            ServingError: a served judge could not be asked.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training has to hold to; numbers, text and tensors only."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take up what ``state_dict`` gave."""
        ...


class Verdict(NamedTuple):
    """What the watch says of a policy."""

    metrics: dict[str, float]
    """By name, such as ``held_out/reward``; reported with those of the step."""
    stop: str | None
    """Why the training should stop here, in a sentence; None: go on."""
    is_best: bool
    """Whether no policy of this training was better so far: its checkpoint is kept."""


class Watch(Protocol):
    """Looks at a policy now and then, with what the training does not reward."""

    def __call__(self, step: int, policy: FlowEditor) -> Verdict:
        """Look at the policy after ``step`` steps.

        Called between two steps, with the averaged weights in the policy where there are such; it
        must leave the weights and the global random state as they are. Of several processes the
        first alone calls it.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training has to know of the looks so far."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take up what ``state_dict`` gave."""
        ...
