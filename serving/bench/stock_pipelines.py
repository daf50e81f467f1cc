"""Editors on diffusers' classes against diffusers' own pipelines, with small random weights.

Both start from the same noise and take the editor's usual steps. Compares the finished latents,
packed, and the pictures.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline
    from PIL import Image
    from torch import Tensor

    from spatialreward.editors.packed import PackedCondition, PackedEditor
    from spatialreward.edits import EditTask
    from spatialreward.figures import Figure

SEED = 7
LATENTS_TOLERANCE = 1e-5
"""For latents near 1 with times in float32, which round a sigma below 0.5."""
_PIXELS, _TEXT_PIXELS = 96 * 96, 64 * 64
_TOKENS = 64
_SIZES = ((120, 88), (64, 72))


class Beside(NamedTuple):
    """An editor, and the diffusers pipeline with the same weights."""

    editor: "PackedEditor"
    pipeline: "DiffusionPipeline"
    num_steps: int
    """Usual ones."""
    call: "Callable[[EditTask], Mapping[str, Any]]"
    """Arguments that make the pipeline edit like the editor."""


class Differences(NamedTuple):
    """The largest differences between editor and pipeline."""

    latents_exact_times: float
    """With times in float64, in which sigmas have all their digits."""
    latents: float
    """As in ``draw_edits``, with times in float32."""
    levels: int
    """Of 255, in the pictures of the latter."""


def kontext(
    folder: Path, *, auto_resize: bool = False, true_cfg_scale: float = 1.0, **loading: Any
) -> Beside:
    """FLUX.1-Kontext."""
    from diffusers import FluxKontextPipeline

    from spatialreward.editors.flux_kontext import KontextConfig, KontextEditor

    config = KontextConfig(
        max_pixels=_PIXELS,
        auto_resize=auto_resize,
        max_sequence_length=_TOKENS,
        true_cfg_scale=true_cfg_scale,
        negative_prompt="a blurry picture",
    )
    editor = KontextEditor.load(folder, config, **loading)

    def call(task: "EditTask") -> dict[str, Any]:
        source = task.sources[0]
        return {
            "image": source,
            "prompt": task.instruction,
            "negative_prompt": config.negative_prompt,
            "true_cfg_scale": config.true_cfg_scale,
            "guidance_scale": config.guidance_scale,
            "width": source.width,
            "height": source.height,
            "max_area": config.max_pixels,
            "max_sequence_length": config.max_sequence_length,
            "_auto_resize": config.auto_resize,
        }

    return Beside(editor, _quiet(FluxKontextPipeline, folder, **loading), 28, call)


def klein(folder: Path, *, is_distilled: bool = False, **loading: Any) -> Beside:
    """FLUX.2-klein."""
    from diffusers import Flux2KleinPipeline

    from spatialreward.editors.flux2_klein import KleinConfig, KleinEditor

    config = KleinConfig(max_sequence_length=_TOKENS)
    editor = KleinEditor.load(folder, config, **loading)

    def call(task: "EditTask") -> dict[str, Any]:
        return {
            "image": list(task.sources),
            "prompt": task.instruction,
            "guidance_scale": config.guidance_scale,
            "max_sequence_length": config.max_sequence_length,
        }

    num_steps = 4 if is_distilled else 50
    return Beside(editor, _quiet(Flux2KleinPipeline, folder, **loading), num_steps, call)


def qwen_edit(
    folder: Path, *, is_plus: bool, picture_positions: bool = False, **loading: Any
) -> Beside:
    """Qwen-Image-Edit.

    Args:
        folder: of the editor.
        is_plus: whether it is Edit-2509 or a later one.
        picture_positions: as in training; an unfixed pipeline of diffusers 0.42 numbers the tokens
            of a picture like words.
        loading: further settings.
    """
    from diffusers import QwenImageEditPipeline, QwenImageEditPlusPipeline

    from spatialreward.editors.qwen_image_edit import QwenEditConfig, QwenEditor

    config = QwenEditConfig(
        num_pixels=_PIXELS, num_text_pixels=_TEXT_PIXELS, picture_positions=picture_positions
    )
    editor = QwenEditor.load(folder, config, **loading)
    processor = editor.parts.processor
    kind = QwenImageEditPlusPipeline if is_plus else QwenImageEditPipeline
    pipeline = _quiet(kind, folder, processor=processor, **loading)
    if picture_positions:
        _show_positions(pipeline, processor)

    def call(task: "EditTask") -> dict[str, Any]:
        return {
            "image": list(task.sources) if is_plus else task.sources[0],
            "prompt": task.instruction,
            "negative_prompt": config.negative_prompt,
            "true_cfg_scale": config.true_cfg_scale,
        }

    return Beside(editor, pipeline, 40, call)


def _quiet(kind: type, folder: Path, **loading: Any) -> "DiffusionPipeline":
    """A pipeline as diffusers loads it, without progress bars."""
    pipeline = kind.from_pretrained(folder, local_files_only=True, **loading)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _show_positions(pipeline: "DiffusionPipeline", processor: Any) -> None:
    """Fix a pipeline: pass the kinds of tokens to its text encoder, as in diffusers#14189."""
    import torch

    def add_kinds(module: Any, arguments: Any, named: dict[str, Any]) -> Any:
        kinds = processor.create_mm_token_type_ids(named["input_ids"].tolist())
        return arguments, named | {"mm_token_type_ids": torch.tensor(kinds)}

    pipeline.text_encoder.register_forward_pre_hook(add_kinds, with_kwargs=True)


@contextlib.contextmanager
def small_areas() -> "Iterator[None]":
    """Let diffusers' Qwen-Image-Edit pipelines edit small pictures; their areas are constants."""
    from unittest import mock

    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit as edit
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus

    small = {plus.VAE_IMAGE_SIZE: _PIXELS, plus.CONDITION_IMAGE_SIZE: _TEXT_PIXELS}
    with contextlib.ExitStack() as stack:
        for module in (edit, plus):
            whole = module.calculate_dimensions
            patched = mock.patch.object(
                module,
                "calculate_dimensions",
                lambda area, ratio, whole=whole: whole(small[area], ratio),
            )
            stack.enter_context(patched)
        yield


def picture(size: tuple[int, int], seed: int = 0) -> "Image.Image":
    """A picture of soft random patches."""
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (max(1, size[1] // 8), max(1, size[0] // 8), 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def task_of(num_sources: int = 1, instruction: str = "make the red square blue") -> "EditTask":
    """A task with source pictures of different sizes."""
    from spatialreward.edits import EditTask

    sources = [picture(_SIZES[number], number) for number in range(num_sources)]
    return EditTask(sources, instruction)


def compare(beside: Beside, task: "EditTask") -> Differences:
    """Edit once with the pipeline and twice with the editor, from the same noise."""
    import numpy as np
    import torch

    from spatialreward.editors.config import DenoisingConfig
    from spatialreward.editors.sampling import draw_edits

    expected, expected_picture = stock_edit(beside, task)
    editor, condition = beside.editor, beside.editor.encode([task])
    exact = drawn_exactly(editor, condition, beside.num_steps, _generator())
    config = DenoisingConfig(num_denoising_steps=beside.num_steps, time_shift=None)
    drawn = draw_edits(editor, condition, config, _generator())
    [edited] = editor.decode(drawn, condition)
    levels = np.abs(np.subtract(edited, expected_picture, dtype=np.int16))
    return Differences(
        torch.dist(exact, expected, p=torch.inf).item(),
        torch.dist(drawn, expected, p=torch.inf).item(),
        int(levels.max()),
    )


def stock_edit(beside: Beside, task: "EditTask") -> "tuple[Tensor, Image.Image]":
    """The pipeline's packed latents ``[1, L, C]`` and picture."""
    kept: dict[str, Any] = {}

    def keep(pipeline: Any, step: int, time: Any, values: dict[str, Any]) -> dict[str, Any]:
        kept.update(values)
        return values

    edited = beside.pipeline(
        **beside.call(task),
        num_inference_steps=beside.num_steps,
        generator=_generator(),
        callback_on_step_end=keep,
    )
    return kept["latents"], edited.images[0]


def drawn_exactly(
    editor: "PackedEditor",
    condition: "PackedCondition",
    num_steps: int,
    generator: "torch.Generator",
) -> "Tensor":
    """As ``draw_edits``, but the editor gets its times with all their digits."""
    import torch

    latents = editor.noise(condition, generator)
    with torch.no_grad():
        for time, next_time in itertools.pairwise(editor.times(num_steps, condition)):
            times_B = torch.full((len(latents),), time, dtype=torch.float64, device=latents.device)
            velocity = editor.velocity(latents, times_B, condition)
            latents = latents + velocity * (next_time - time)
    return latents


def _generator() -> "torch.Generator":
    import torch

    return torch.Generator().manual_seed(SEED)


def parity_figures(folder: Path) -> "list[Figure]":
    """The largest differences by editor; of Plus and klein with two sources.

    Args:
        folder: for the weights.
    """
    from spatialreward.figures import Figure
    from spatialreward.world.random_editors import write_klein, write_kontext, write_qwen_edit

    write_kontext(folder / "kontext")
    write_klein(folder / "klein")
    write_qwen_edit(folder / "edit")
    write_qwen_edit(folder / "plus", plus=True, zero_cond_t=True)
    compared: Sequence[tuple[str, Beside, int]] = (
        ("kontext", kontext(folder / "kontext"), 1),
        ("klein", klein(folder / "klein"), 2),
        ("qwen_edit", qwen_edit(folder / "edit", is_plus=False), 1),
        ("qwen_edit_plus", qwen_edit(folder / "plus", is_plus=True), 2),
    )
    figures = []
    with small_areas():
        for name, beside, num_sources in compared:
            found = compare(beside, task_of(num_sources))
            figures += [
                Figure.at_most(
                    f"parity/{name}/largest_difference", found.latents, LATENTS_TOLERANCE
                ),
                Figure.at_most(
                    f"parity/{name}/largest_difference_exact_times", found.latents_exact_times, 0.0
                ),
                Figure.at_most(
                    f"parity/{name}/largest_picture_difference", found.levels, 1, unit="of 255"
                ),
            ]
    return figures
