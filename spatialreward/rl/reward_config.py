"""Settings of rewards: who gives them, how much each counts, and what happens when one is away."""

import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spatialreward.records import JudgeMode, Record

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_KINDS = ("hub", "models", "openai", "oracle", "pixels", "triton")
_OF_THE_RUN = "judge"


class RewardForm(StrEnum):
    """How a judgement becomes a reward in 0..1."""

    REWARD = "reward"
    """The judge's own reward, by its protocol's aggregation."""
    CONSISTENT = "consistent"
    """Consistency-modulated: success counts only as far as the rest stayed. ``SC = s1 * (0.6 + 0.4
    * s2 / 25)`` in place of the weighted mean, else as the paper's geometric form, of the soft
    scores where the judge tells them and of the written ones elsewhere (FIRM, arXiv 2603.12247;
    ``protocol.aggregation``)."""
    UNTOUCHED = "untouched"
    """A rule of pixels: 1 less the share of the picture outside the judge's regions whose pixels
    differ from the source's, by the threshold of the judge ``pixels``. With the oracle these are
    the true regions; another judge's are predicted, so what counts is the change it overlooked."""


class JudgeConfig(Record):
    """A judge, as ``load_judge`` takes it."""

    judge: str = ""
    """A folder, ``triton:HOST:PORT``, ``openai:MODEL@ADDRESS``, ``oracle``, ``pixels`` and so on.
    Empty: the judge that the command or the pipeline hands to the training."""
    adapter: Path | None = None
    """Folder of a LoRA that is merged into the weights."""
    protocol: str | None = None
    """How a judge without a protocol file is asked."""
    passes: PositiveInt = 1
    """How often each edit is judged; the mean counts."""
    mode: JudgeMode | None = None
    """Of a checkpoint that can do both: ``reason`` or ``scalar``."""

    @model_validator(mode="after")
    def _options_are_of_a_named_judge(self) -> Self:
        given = [name for name, value in self.options.items() if value not in (None, 1)]
        if not self.judge and given:
            raise ValueError(f"{given[0]}: goes with a judge that is named here")
        return self

    @property
    def options(self) -> dict[str, Path | str | int | JudgeMode | None]:
        """Of ``load_judge``."""
        return {
            "adapter": self.adapter,
            "protocol": self.protocol,
            "passes": self.passes,
            "mode": self.mode,
        }


class RewardConfig(JudgeConfig):
    """One reward."""

    name: str = Field("", pattern=r"^[A-Za-z0-9._-]*$")
    """In metrics, as ``reward/NAME``; empty: after the judge and the form."""
    weight: Annotated[PositiveFloat, Field(allow_inf_nan=False)] = 1.0
    """In the sum of all rewards."""
    form: RewardForm = RewardForm.REWARD

    @property
    def label(self) -> str:
        """Its name, or one after the judge and the form."""
        if self.name:
            return self.name
        kind = self.judge.partition(":")[0]
        whose = kind if kind in _KINDS else Path(self.judge).name or _OF_THE_RUN
        of_form = "" if self.form is RewardForm.REWARD else f"_{self.form}"
        return _NOT_IN_NAMES.sub("-", whose) + of_form


class PatienceConfig(Record):
    """What a training does when a judge fails."""

    max_failed_share: float = Field(0.5, ge=0, le=1)
    """Of the edits that are scored at once, those that may go without a judgement; they are left
    out of their groups. If more fail, the training waits and asks again."""
    retry_wait_s: PositiveFloat = 5.0
    """Before a judge is asked again; each further wait is twice as long, up to ten minutes."""
    max_wait_s: float = Field(1800.0, ge=0, allow_inf_nan=False)
    """How long a training waits for its judge in one go before it stops; 0: it does not wait."""


class RewardsConfig(PatienceConfig):
    """The rewards of a training."""

    rewards: tuple[RewardConfig, ...] = Field((RewardConfig(),), min_length=1)
    """What is trained on. Advantages per region are those of the first one's judge."""
    evaluation_rewards: tuple[RewardConfig, ...] = ()
    """What is only watched, on held-out prompts; the weighted sum says which checkpoint is best."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for field in ("rewards", "evaluation_rewards"):
            check_labels(getattr(self, field), field)
        return self


def check_labels(rewards: Sequence[RewardConfig], field: str) -> None:
    """Make sure that metrics of different rewards have different names.

    Raises:
        ValueError: two have the same.
    """
    counts = Counter(one.label for one in rewards)
    if twice := [label for label, count in counts.items() if count > 1]:
        raise ValueError(f"{field}: two are called {twice[0]!r}; give each a name of its own")
