"""Settings of the tiny editor, of its pretraining and of drawing edits."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from spatialreward.records import Record
from spatialreward.training.config import OptimiserConfig


class EditorNetworkConfig(Record):
    """Size of the tiny editor's transformer."""

    picture_side: PositiveInt = 64
    """Side of the square pictures it edits, in pixels; others are resized."""
    patch_side: PositiveInt = 16
    """Side of the patches that are latents, each on its own, in pixels."""
    latent_channels: PositiveInt = 16
    """Numbers that a patch becomes."""
    width: PositiveInt = 128
    """Channels of a token; a multiple of the number of heads."""
    num_layers: PositiveInt = 4
    num_heads: PositiveInt = 4
    max_words: PositiveInt = 48
    """Words of an instruction that are read; a longer one is cut."""


class CodecConfig(Record):
    """Fits latents to the pictures of a data set."""

    num_samples: PositiveInt = 32_000
    """Edits to train on, two pictures each; a smaller data set is gone through again."""
    latent_noise: float = Field(0.2, ge=0)
    """Deviation of the noise on the latents that pictures are drawn from; theirs is 1."""
    optimiser: OptimiserConfig = OptimiserConfig(
        learning_rate=2e-3, precision="fastest", warmup_steps=40, batch_size=64
    )


class EditorPretrainingConfig(Record):
    """Teaches an editor from noise to do as the edits of a data set do, good and flawed alike."""

    seed: int = 3
    num_samples: PositiveInt = 40_000
    """Edits to train on; a smaller data set is gone through again."""
    network: EditorNetworkConfig = EditorNetworkConfig()
    codec: CodecConfig = CodecConfig()
    """Its latents, which are trained before the network is."""
    optimiser: OptimiserConfig = OptimiserConfig(
        matrices="muon", learning_rate=3e-3, precision="fastest"
    )
    median_time: float = Field(0.06, gt=0, lt=1)
    """Of the times that are trained on; the instruction matters while noise hides the edit."""
    decay: float = Field(0.995, ge=0, lt=1)
    """Of the running average of the weights, which is what is kept."""
    stage_shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """Shares of the steps after which the editor is kept as well, in ascending order."""

    @property
    def num_steps(self) -> int:
        """Batches to train the network on."""
        return self.num_samples // self.optimiser.batch_size

    @property
    def stage_steps(self) -> tuple[int, ...]:
        """The steps after which the editor is kept as well."""
        return tuple(round(share * self.num_steps) for share in self.stage_shares)

    @model_validator(mode="after")
    def _stages_are_different_steps(self) -> Self:
        steps = (0, *self.stage_steps, self.num_steps)
        if self.stage_shares and list(steps) != sorted(set(steps)):
            raise ValueError(
                f"stage_shares {list(self.stage_shares)} of {self.num_steps} steps: expected "
                "ascending ones, each a step of its own before the last"
            )
        return self


class DenoisingConfig(Record):
    """The steps from noise to an edit."""

    num_denoising_steps: int = Field(8, ge=2)
    time_shift: float = Field(1.0, ge=1)
    """Above 1, more of the steps are spent near the noise; 1 spaces them evenly.

    The more numbers of a latent say the same, the sooner it is decided what the edit will be.
    """


class DrawingConfig(Record):
    """Edits that a pretrained editor draws for the judge's data."""

    seed: int = 19
    """Of the starting noise."""
    num_edits: int = Field(4_000, gt=0, le=1_000_000)
    """Divided evenly among the editor and its earlier stages."""
    group_size: PositiveInt = 8
    """Edits of one instruction, all by the same stage of the editor."""
    denoising: DenoisingConfig = DenoisingConfig()


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
