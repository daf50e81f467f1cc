"""How edits of a benchmark are drawn and graded; torch-free."""

from pydantic import Field, NonNegativeInt

from spatialreward.editors.config import DenoisingConfig, OpeningConfig
from spatialreward.records import Record


class DrawingSettings(DenoisingConfig):
    """How an editor draws a benchmark's edits."""

    num_denoising_steps: int = Field(50, ge=2)
    """As published figures of OmniGen2 have it."""
    seed: NonNegativeInt = 17
    """Of the noise that edits start from, the same for all editors."""
    editor: OpeningConfig = OpeningConfig()


class EditorBenchmarkSettings(Record):
    """What a comparison of editors on benchmarks may be told."""

    sampling: DrawingSettings = DrawingSettings()
    num_retries: NonNegativeInt = 2
    """How often an answer that cannot be read is asked for again, each time drawn anew."""
