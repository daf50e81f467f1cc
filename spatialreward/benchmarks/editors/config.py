"""How to draw and grade a benchmark's edits; free of torch."""

from pydantic import Field, NonNegativeInt

from spatialreward.editors.config import DenoisingConfig, OpeningConfig
from spatialreward.records import Record


class DrawingSettings(DenoisingConfig):
    """How an editor draws a benchmark's edits."""

    num_denoising_steps: int = Field(50, ge=2)
    """As for published figures of OmniGen2."""
    seed: NonNegativeInt = 17
    """Of the initial noise, the same for all editors."""
    editor: OpeningConfig = OpeningConfig()


class EditorBenchmarkSettings(Record):
    """Settings of a comparison of editors on benchmarks."""

    sampling: DrawingSettings = DrawingSettings()
    num_retries: NonNegativeInt = 2
    """Retries of an unreadable answer, each with a new sample."""
