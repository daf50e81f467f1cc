"""Settings of drawing edits: the steps from noise to a picture."""

from pydantic import Field, field_validator

from spatialreward.records import Record


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


class SamplingConfig(DenoisingConfig):
    """How RL draws edits: some of the steps are stochastic."""

    eta: float = Field(0.7, ge=0)
    """Strength of the noise in stochastic steps; 0 makes every step the ODE's, which RL cannot
    train on."""
    stochastic_share: float = Field(0.5, gt=0, le=1)
    """Share of the steps, from the first on, that are stochastic and trained.

    The others are steps of the ODE, so a picture is not handed over with fresh noise on it.
    """

    @property
    def num_stochastic_steps(self) -> int:
        """Number of stochastic steps, at least one."""
        return max(1, round(self.num_denoising_steps * self.stochastic_share))
