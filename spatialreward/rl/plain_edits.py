"""Edits of one task, drawn alike whenever they are drawn."""

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
    """``count`` edits by the ODE, each from noise of its own.

    What they look like follows from the arguments alone; the global random state stays as it is.

    Raises:
        InvalidInputError: the task is none for this editor.
    """
    devices = [editor.device] if editor.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        # An editor may draw while it encodes, such as a latent of the source.
        torch.manual_seed(seed)
        condition = editor.encode([task]).repeat(count)
        generator = torch.Generator().manual_seed(seed)
        latents = draw_edits(editor, condition, config, generator)
        return editor.decode(latents, condition)
