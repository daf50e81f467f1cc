"""Brightness as the reward of RL whose speed is measured.

A random judge is called for its time only; its answers are unreadable.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatialreward.edits import Edit
    from spatialreward.rl.types import Scored


class Brightness:
    """A ``types.Reward``: the mean of all bytes of an edited picture, 0..1."""

    names = ("brightness",)
    weights = {"brightness": 1.0}  # noqa: RUF012 - never modified
    card = {}  # noqa: RUF012 - never modified

    def __init__(self, ask: "Callable[[Sequence[Edit]], object]") -> None:
        """Call ``ask`` with the edits before their brightness is counted."""
        self._ask = ask

    def score(self, edits: "Sequence[Edit]") -> "Scored":
        """The mean of all bytes of each."""
        import numpy as np
        import torch

        from spatialreward.rl.types import Scored

        self._ask(edits)
        means = [float(np.asarray(edit.edited).mean()) / 255 for edit in edits]
        return Scored({"brightness": torch.tensor(means)}, None)

    def state_dict(self) -> dict[str, object]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, object], /) -> None:
        """Nothing to load."""
