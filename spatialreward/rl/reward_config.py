"""Settings of rewards: judges, weights, and waiting for unavailable judges."""

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
    """How to compute a reward in 0..1 from a judgement."""

    REWARD = "reward"
    """The judge's own reward, by its protocol's aggregation."""
    CONSISTENT = "consistent"
    """Consistency-modulated: success counts in proportion to how much else stayed unchanged.
    ``SC = s1 * (0.6 + 0.4 * s2 / 25)`` replaces the weighted mean, otherwise as the paper's
    geometric form, on the soft scores if the judge gives them, else on the written ones (FIRM,
    arXiv 2603.12247; ``protocol.aggregation``)."""
    UNTOUCHED = "untouched"
    """A rule on pixels: 1 - the share of the picture outside the judge's regions whose pixels
    differ from the source's, by the threshold of the judge ``pixels``. The oracle's regions are the
    true ones; another judge's are predicted, so this measures the change that it missed."""


class JudgeConfig(Record):
    """A judge, by the arguments of ``load_judge``."""

    judge: str = ""
    """A folder, ``triton:HOST:PORT``, ``openai:MODEL@ADDRESS``, ``oracle``, ``pixels`` and so on.
    Empty: the judge of the command or the pipeline."""
    adapter: Path | None = None
    """Folder of a LoRA to merge into the weights."""
    protocol: str | None = None
    """Prompts for a judge without a protocol file."""
    passes: PositiveInt = 1
    """Judgements per edit; their mean counts."""
    mode: JudgeMode | None = None
    """For a checkpoint with both modes: ``reason`` or ``scalar``."""

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
    """In metrics, as ``reward/NAME``; empty: derived from judge and form."""
    weight: Annotated[PositiveFloat, Field(allow_inf_nan=False)] = 1.0
    """In the sum of all rewards."""
    form: RewardForm = RewardForm.REWARD

    @property
    def label(self) -> str:
        """Its name, or one derived from judge and form."""
        if self.name:
            return self.name
        kind = self.judge.partition(":")[0]
        whose = kind if kind in _KINDS else Path(self.judge).name or _OF_THE_RUN
        of_form = "" if self.form is RewardForm.REWARD else f"_{self.form}"
        return _NOT_IN_NAMES.sub("-", whose) + of_form


class PatienceConfig(Record):
    """How a training handles a failing judge."""

    max_failed_share: float = Field(0.5, ge=0, le=1)
    """Share of the edits scored at once that may lack a judgement; their groups omit them. Above
    it, the training waits and retries."""
    retry_wait_s: PositiveFloat = 5.0
    """Before a retry; each further wait doubles, up to ten minutes."""
    max_wait_s: float = Field(1800.0, ge=0, allow_inf_nan=False)
    """Longest uninterrupted wait for a judge before the training stops; 0: no wait."""


class RewardsConfig(PatienceConfig):
    """The rewards of a training."""

    rewards: tuple[RewardConfig, ...] = Field((RewardConfig(),), min_length=1)
    """Training rewards. Advantages per region use the first one's judge."""
    evaluation_rewards: tuple[RewardConfig, ...] = ()
    """Rewards on held-out prompts, not trained on; their weighted sum selects the best
    checkpoint."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for field in ("rewards", "evaluation_rewards"):
            check_labels(getattr(self, field), field)
        return self


def check_labels(rewards: Sequence[RewardConfig], field: str) -> None:
    """Check that the metrics of different rewards have different names.

    Raises:
        ValueError: two have the same.
    """
    counts = Counter(one.label for one in rewards)
    if twice := [label for label, count in counts.items() if count > 1]:
        raise ValueError(f"{field}: two are called {twice[0]!r}; give each a name of its own")
