"""Settings of the tiny models: the judge's grounding, and the editor with its drawn edits."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from spatialreward.editors.config import DenoisingConfig
from spatialreward.records import Record
from spatialreward.training.config import OptimiserConfig


class TaskShares(Record):
    """Share of the batches that train each describing task; they sum to 1."""

    differences: float = Field(ge=0, le=1)
    artifacts: float = Field(ge=0, le=1)
    scenes: float = Field(ge=0, le=1)
    request: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.differences + self.artifacts + self.scenes + self.request
        if abs(total - 1) > 1e-6:
            raise ValueError(f"expected shares that sum to 1, got {total:g}")
        return self


class GroundingConfig(Record):
    """Trains a model from noise to describe pictures."""

    seed: int = 7
    num_scene_samples: PositiveInt = 24_000
    """Samples of dense scene descriptions alone, of pictures without artifacts, before other
    tasks."""
    num_difference_samples: PositiveInt = 72_000
    """Samples of differences, artifacts and scenes after that."""
    num_request_samples: PositiveInt = 72_000
    """Samples of requests, and of all other tasks, at the end."""
    difference_shares: TaskShares = TaskShares(differences=0.6, artifacts=0.25, scenes=0.15)
    request_shares: TaskShares = TaskShares(
        differences=0.45, artifacts=0.15, scenes=0.1, request=0.3
    )
    optimiser: OptimiserConfig = OptimiserConfig(matrices="muon", precision="fastest")


class EditorNetworkConfig(Record):
    """Size of the tiny editor's transformer."""

    picture_side: PositiveInt = 64
    """Side of the square pictures it edits, in pixels; others are resized."""
    patch_side: PositiveInt = 16
    """Side of the patches, in pixels; each is encoded separately."""
    latent_channels: PositiveInt = 16
    """Channels of a patch's latent."""
    width: PositiveInt = 128
    """Channels of a token; a multiple of the number of heads."""
    num_layers: PositiveInt = 4
    num_heads: PositiveInt = 4
    max_words: PositiveInt = 48
    """Words read from an instruction; longer ones are truncated."""


class CodecConfig(Record):
    """Fits latents to the pictures of a data set."""

    num_samples: PositiveInt = 32_000
    """Edits to train on, two pictures each; a smaller data set is repeated."""
    latent_noise: float = Field(0.2, ge=0)
    """Deviation of the noise on latents before decoding; their own is 1."""
    optimiser: OptimiserConfig = OptimiserConfig(
        learning_rate=2e-3, precision="fastest", warmup_steps=40, batch_size=64
    )


class EditorPretrainingConfig(Record):
    """Trains an editor from noise to imitate the edits of a data set, good and flawed alike."""

    seed: int = 3
    num_samples: PositiveInt = 40_000
    """Edits to train on; a smaller data set is repeated."""
    network: EditorNetworkConfig = EditorNetworkConfig()
    codec: CodecConfig = CodecConfig()
    """Its codec, which is trained before the network."""
    optimiser: OptimiserConfig = OptimiserConfig(
        matrices="muon", learning_rate=3e-3, precision="fastest"
    )
    median_time: float = Field(0.06, gt=0, lt=1)
    """Distribution of training times; the instruction matters while noise hides the edit."""
    decay: float = Field(0.995, ge=0, lt=1)
    """Of the running average of the weights, which is what is saved."""
    stage_shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """Shares of the steps after which to save the editor as well, in ascending order."""

    @property
    def num_steps(self) -> int:
        """Training batches of the network."""
        return self.num_samples // self.optimiser.batch_size

    @property
    def stage_steps(self) -> tuple[int, ...]:
        """The steps after which to save the editor as well."""
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


class DrawingConfig(Record):
    """Edits from a pretrained editor for the judge's data."""

    seed: int = 19
    """Of the initial noise."""
    num_edits: int = Field(4_000, gt=0, le=1_000_000)
    """Divided evenly among the editor and its earlier stages."""
    group_size: PositiveInt = 8
    """Edits of one instruction, all by the same stage of the editor."""
    denoising: DenoisingConfig = DenoisingConfig()
