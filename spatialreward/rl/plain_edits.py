"""Draws edits of one task reproducibly."""

import torch
from PIL import Image

from spatialreward.editors.config import DenoisingConfig
from spatialreward.editors.interface import FlowEditor
from spatialreward.editors.sampling import draw_edits
from spatialreward.edits import EditTask


@torch.no_grad()
def draw_of_task(
    editor: FlowEditor, task: EditTask, count: int, config: DenoisingConfig, seed: int
) -> list[Image.Image]:
    """``count`` edits by the ODE, each from its own noise.

    Depends on the arguments only; leaves the global random state unchanged.

    Raises:
        InvalidInputError: the editor does not support the task.
    """
    devices = [editor.device] if editor.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        # An editor may sample while encoding, such as a latent of the source.
        torch.manual_seed(seed)
        condition = editor.encode([task]).repeat(count)
        generator = torch.Generator().manual_seed(seed)
        latents = draw_edits(editor, condition, config, generator)
        return editor.decode(latents, condition)
