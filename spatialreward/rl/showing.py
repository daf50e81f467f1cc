"""An editor's results on some tasks, for comparison before and after RL."""

from collections.abc import Sequence

import torch

from spatialreward.editors.config import DenoisingConfig
from spatialreward.editors.interface import FlowEditor
from spatialreward.editors.sampling import draw_edits
from spatialreward.edits import Edit, EditTask
from spatialreward.judges.interface import Judging
from spatialreward.visuals import SheetRow


def rows_of(
    editor: FlowEditor,
    tasks: Sequence[EditTask],
    config: DenoisingConfig,
    judging: Judging,
    seed: int,
) -> list[SheetRow]:
    """One edit of each task with its judgement; the same noise for the same seed.

    Raises:
        ServingError: a served judge is unreachable.
    """
    generator = torch.Generator().manual_seed(seed)
    condition = editor.encode(tasks)
    drawn = editor.decode(draw_edits(editor, condition, config, generator), condition)
    edits = [Edit.of(task, picture) for task, picture in zip(tasks, drawn, strict=True)]
    return [
        SheetRow(edit.source, edit.edited, edit.instruction, judgement)
        for edit, judgement in zip(edits, judging.judge(edits), strict=True)
    ]
