"""Settings of drawing edits: the steps from noise to a picture."""

from pydantic import Field

from spatialreward.records import Record


class DenoisingConfig(Record):
    """The steps from noise to an edit."""

    num_denoising_steps: int = Field(8, ge=2)
    time_shift: float = Field(1.0, ge=1)
    """Above 1, more of the steps are spent near the noise; 1 spaces them evenly.

    The more numbers of a latent say the same, the sooner it is decided what the edit will be.
    """


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
