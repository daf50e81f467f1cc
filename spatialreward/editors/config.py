"""Settings of an editor: loading, adaptation, and the denoising steps."""

from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, PositiveInt, field_validator, model_validator

from spatialreward.records import Record

Noise = Literal["sde", "dance", "cps"]
"""Noise schedule of stochastic steps; see ``SamplingConfig.noise``."""


class LoraConfig(Record):
    """The adapter that RL trains; first matrices start Gaussian, second ones at 0."""

    rank: int = Field(32, ge=1)
    alpha: float = Field(64, gt=0)
    """Scales the adapter's output by ``alpha / rank``."""
    targets: tuple[str, ...] | None = Field(None, min_length=1)
    """Linear layers to adapt, by name suffix; None: the editor's published choice."""
    dropout: float = Field(0.0, ge=0, lt=1)


class OpeningConfig(Record):
    """How to load an editor with published weights; not for the tiny editor."""

    settings: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    """Settings by the names in the editor's configuration, such as ``text_guidance``."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the base's weights; a LoRA is float32."""


class AdaptationConfig(OpeningConfig):
    """How to load an editor with published weights, and how RL adapts it."""

    lora: LoraConfig = LoraConfig()
    gradient_checkpointing: bool = True
    """Recompute activations in the backward pass to save memory."""


class DenoisingConfig(Record):
    """The steps from noise to an edit."""

    num_denoising_steps: int = Field(8, ge=2)
    time_shift: float | None = Field(None, ge=1)
    """Above 1 moves more of the steps near the noise; 1 spaces them evenly.

    The larger a latent, the earlier noise stops hiding the edit's content. None: the editor's own
    times.
    """
    guidance_range: tuple[float, float] = (0.0, 1.0)
    """Shares of the steps, by number, between which the editor's guidance applies."""

    def is_guided(self, step: int) -> bool:
        """Whether guidance applies in this step, counted from 0."""
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
    """Step numbers of one rollout, from 0, in ascending order."""

    stochastic: tuple[int, ...]
    """Stochastic steps; all others follow the ODE."""
    trained: tuple[int, ...]
    """Those of them that are recorded and trained."""


class StepWindow(Record):
    """A few consecutive stochastic, trained steps; all others follow the ODE.

    A fixed window is Flow-GRPO-Fast's, a moving one MixGRPO's (arXiv 2507.21802). Its position
    depends only on the settings and the training step, so all processes train the same denoising
    steps.
    """

    num_steps: PositiveInt = 2
    within: tuple[int, int] | None = None
    """The first step that the window may cover, from 0, and the end, exclusive; None: all but a
    rollout's last step, which is never trained."""
    moves: Literal["never", "onwards", "at_random"] = "never"
    """``onwards``: moves by one step, and restarts at the beginning."""
    every: PositiveInt = 25
    """Training steps between moves."""

    def starts(self, num_denoising_steps: int) -> range:
        """The steps at which it may begin."""
        first, end = self.within or (0, num_denoising_steps - 1)
        return range(first, end - self.num_steps + 1)


class SamplingConfig(DenoisingConfig):
    """How RL samples edits: some of the steps are stochastic."""

    noise: Noise = "sde"
    """``sde`` and ``dance`` keep the ODE's marginals; their noise grows with the latent's noise, or
    is constant over time (Flow-GRPO, DanceGRPO). ``cps`` keeps the ODE's share of noise at each
    time, so the judged picture has none left (Flow-CPS); its edits vary less than the ODE's."""
    eta: float = Field(0.7, ge=0)
    """Strength of the noise in stochastic steps, at most 1 for ``cps``, where 0.8 works well, and
    0.3 in DanceGRPO; 0 makes every step deterministic, which RL cannot train on."""
    stochastic_share: float = Field(0.5, gt=0, le=1)
    """Share of the steps, from the first one, that are stochastic and trained.

    The others follow the ODE, so a finished picture has no fresh noise. The last step is never
    trained, because its deviation is almost zero.
    """
    window: StepWindow | None = None
    """The stochastic steps, instead of ``stochastic_share``."""
    trained_share: float = Field(1.0, gt=0, le=1)
    """Share of the stochastic steps to train, drawn in each training step."""

    @property
    def num_stochastic_steps(self) -> int:
        """Number of stochastic steps without a window, at least one."""
        return max(1, round(self.num_denoising_steps * self.stochastic_share))

    def plan(self, step: int = 0, seed: int = 0) -> StepPlan:
        """The stochastic and the trained steps of one training step, counted from 0."""
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
            # A separate random stream from the window's.
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
