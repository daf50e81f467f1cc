"""Settings of an editor: how it is opened and adapted, and the steps from noise to a picture."""

from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, PositiveInt, field_validator, model_validator

from spatialreward.records import Record

Noise = Literal["sde", "dance", "cps"]
"""How stochastic steps are noised; see ``SamplingConfig.noise``."""


class LoraConfig(Record):
    """The adapter that RL trains; its first matrices begin as a Gaussian, its second ones at 0."""

    rank: int = Field(32, ge=1)
    alpha: float = Field(64, gt=0)
    """The adapter's output is scaled by ``alpha / rank``."""
    targets: tuple[str, ...] | None = Field(None, min_length=1)
    """Linear layers that get one, by the ends of their names; None: the editor's published ones."""
    dropout: float = Field(0.0, ge=0, lt=1)


class OpeningConfig(Record):
    """How an editor with published weights is opened; the tiny editor has no such settings."""

    settings: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    """How it edits, by the names in its own configuration, such as ``text_guidance``."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of its weights; a LoRA is float32."""


class AdaptationConfig(OpeningConfig):
    """How an editor with published weights is opened, and how RL adapts it."""

    lora: LoraConfig = LoraConfig()
    gradient_checkpointing: bool = True
    """Compute activations again in the backward pass instead of keeping them."""


class DenoisingConfig(Record):
    """The steps from noise to an edit."""

    num_denoising_steps: int = Field(8, ge=2)
    time_shift: float | None = Field(None, ge=1)
    """Above 1, more of the steps are spent near the noise; 1 spaces them evenly.

    The more numbers of a latent say the same, the sooner it is decided what the edit will be.
    Without one the editor's own times are taken.
    """
    guidance_range: tuple[float, float] = (0.0, 1.0)
    """Shares of the way, by number of steps, between which the editor's guidance is applied."""

    def is_guided(self, step: int) -> bool:
        """Whether guidance is applied in this step, counted from 0."""
        first, last = self.guidance_range
        return first <= step / self.num_denoising_steps <= last

    @field_validator("guidance_range")
    @classmethod
    def _is_a_range(cls, guidance_range: tuple[float, float]) -> tuple[float, float]:
        first, last = guidance_range
        if not 0 <= first <= last <= 1:
            raise ValueError(f"expected two shares in ascending order, got {first:g}, {last:g}")
        return guidance_range


class StepPlan(NamedTuple):
    """What is done in the steps of one drawing, by their numbers from 0, in ascending order."""

    stochastic: tuple[int, ...]
    """Steps with noise; all others are the ODE's."""
    trained: tuple[int, ...]
    """Those of them that are remembered and trained."""


class StepWindow(Record):
    """A few steps in a row that are stochastic and trained, while all others are the ODE's.

    One that stays is Flow-GRPO-Fast's, one that moves onwards MixGRPO's (arXiv 2507.21802). Where
    it is follows from the settings and the number of the training's step alone, so all processes
    train the same steps of a drawing.
    """

    num_steps: PositiveInt = 2
    within: tuple[int, int] | None = None
    """The first step that may be in it, from 0, and the one behind the last; None: all but the last
    step of a drawing, which is never trained."""
    moves: Literal["never", "onwards", "at_random"] = "never"
    """``onwards``: by one step, and from the beginning again."""
    every: PositiveInt = 25
    """Steps of the training for which it stays in one place."""

    def starts(self, num_denoising_steps: int) -> range:
        """The steps that it may begin with."""
        first, end = self.within or (0, num_denoising_steps - 1)
        return range(first, end - self.num_steps + 1)


class SamplingConfig(DenoisingConfig):
    """How RL draws edits: some of the steps are stochastic."""

    noise: Noise = "sde"
    """``sde`` and ``dance`` keep the marginals of the ODE: with more noise where there is more of
    it, and with as much at any time (Flow-GRPO, DanceGRPO). ``cps`` keeps the share of noise that
    the ODE has at each time, so none is left in the picture that is judged (Flow-CPS); its edits
    vary less than the ODE's."""
    eta: float = Field(0.7, ge=0)
    """Strength of the noise in stochastic steps, at most 1 for ``cps``, which likes 0.8, and 0.3 in
    DanceGRPO; 0 makes every step the ODE's, which RL cannot train on."""
    stochastic_share: float = Field(0.5, gt=0, le=1)
    """Share of the steps, from the first on, that are stochastic and trained.

    The others are steps of the ODE, so a picture is not handed over with fresh noise on it. The
    last step is never trained, since the deviation there is next to nothing.
    """
    window: StepWindow | None = None
    """The stochastic steps, in place of ``stochastic_share``."""
    trained_share: float = Field(1.0, gt=0, le=1)
    """Share of the stochastic steps that is trained, drawn for each step of the training."""

    @property
    def num_stochastic_steps(self) -> int:
        """Number of stochastic steps without a window, at least one."""
        return max(1, round(self.num_denoising_steps * self.stochastic_share))

    def plan(self, step: int = 0, seed: int = 0) -> StepPlan:
        """The steps that are stochastic and trained in one step of a training, counted from 0."""
        if not self.eta:
            return StepPlan((), ())
        if self.window is None:
            stochastic = range(self.num_stochastic_steps)
        else:
            starts, turn = self.window.starts(self.num_denoising_steps), step // self.window.every
            start = starts[0]
            if self.window.moves == "onwards":
                start = starts[turn % len(starts)]
            elif self.window.moves == "at_random":
                start = starts[np.random.default_rng((seed, turn)).integers(len(starts))]
            stochastic = range(start, start + self.window.num_steps)
        trained = [one for one in stochastic if one < self.num_denoising_steps - 1]
        if self.trained_share < 1:
            count = max(1, round(len(trained) * self.trained_share))
            # Another stream than the window's.
            drawn = np.random.default_rng((seed, step, 1)).permutation(len(trained))[:count]
            trained = [trained[number] for number in sorted(drawn)]
        return StepPlan(tuple(stochastic), tuple(trained))

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if self.window is None:
            return self
        first, end = self.window.within or (0, self.num_denoising_steps - 1)
        if not 0 <= first < end < self.num_denoising_steps:
            raise ValueError(
                f"window.within: expected two of the steps 0 to {self.num_denoising_steps - 1} in "
                f"ascending order (the last step is never trained), got {first}, {end}"
            )
        if not self.window.starts(self.num_denoising_steps):
            raise ValueError(
                f"window.num_steps: expected at most {end - first}, the steps it may be in, "
                f"got {self.window.num_steps}"
            )
        return self

    @model_validator(mode="after")
    def _share_of_noise_is_one(self) -> Self:
        if self.noise == "cps" and self.eta > 1:
            raise ValueError(f"eta: expected at most 1 with noise cps, got {self.eta:g}")
        return self
