"""Settings of the commands under ``spatialreward rl``."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatialreward.ops.config import EditorRlStep


def rl_settings(path: Path | None, overrides: list[str], data: str | None = None) -> "EditorRlStep":
    """Settings of a training from a file, changes, and the data set that prompts are of.

    Raises:
        InvalidInputError: a setting is none; names it.
    """
    from spatialreward.data.dataset import DatasetRef
    from spatialreward.ops.config import EditorRlStep
    from spatialreward.ops.overrides import Table, settings_over
    from spatialreward.rl.config import RlConfig
    from spatialreward.world.config import DataConfig

    usual = EditorRlStep(rl=RlConfig(), world=DataConfig())
    settings = settings_over(usual, [Table.read(path)] if path else [], overrides)
    if data is None:
        return settings
    rl = settings.rl.model_copy(update={"prompts": str(DatasetRef.parse(data))})
    return settings.model_copy(update={"rl": rl})
