"""The update of a LoRA on FLUX.1-Kontext's classes, in our loop and in a plain one.

The plain loop uses only diffusers and peft: a transformer with an adapter, the objective of
Flow-GRPO in a few lines, AdamW. Both have the same sizes, edits, steps and divergence from the
editor without its adapter; our loop also checks and measures, and supports any editor, algorithm
and number of processes.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from serving.bench.brightness import Brightness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffusers import FluxTransformer2DModel
    from torch import Tensor

    from spatialreward.editors.flux_kontext import KontextEditor
    from spatialreward.edits import EditTask
    from spatialreward.rl.config import RlConfig
    from spatialreward.world.prompts import WorldPrompts

SEED = 6
_HEAD_SIZE = 64
_JOINT_WIDTH = 32
"""Of the text encoders in ``random_editors``."""
_ETA, _CLIP, _KL_WEIGHT, _LEARNING_RATE = 0.7, 1e-5, 0.04, 2e-4


class UpdateEffort(NamedTuple):
    """Size of the update."""

    num_prompts: int = 2
    group_size: int = 4
    denoising_steps: int = 4
    window: int = 2
    side: int = 256
    """Of the square edits, in pixels."""
    heads: int = 2
    layers: int = 2
    """Of each of the two kinds of blocks."""
    rank: int = 8

    @property
    def num_pixels(self) -> int:
        """Pixels of all edits, counted once per trained step."""
        return self.num_prompts * self.group_size * self.window * self.side**2


def our_update(effort: UpdateEffort, folder: Path) -> float:
    """Seconds of the update in a step of ``rl.loop``.

    Args:
        effort: size of the update.
        folder: in the format of ``random_editors.write_kontext``.
    """
    from spatialreward.editors.config import LoraConfig
    from spatialreward.rl.loop import Trainer

    last: dict[str, float] = {}
    editor = _editor(effort, folder)
    editor.add_lora(LoraConfig(rank=effort.rank, alpha=2 * effort.rank), seed=SEED)
    trainer = Trainer(_config(effort), editor, Brightness(len), _prompts(effort))
    trainer.run(lambda metrics, step: last.update(metrics))
    return last["time/update_s"]


def plain_update(effort: UpdateEffort, folder: Path) -> float:
    """Seconds of the same update with diffusers and peft alone; arguments as above."""
    import torch
    from peft import LoraConfig

    editor = _editor(effort, folder)
    transformer = editor.transformer
    transformer.add_adapter(
        LoraConfig(
            r=effort.rank,
            lora_alpha=2 * effort.rank,
            init_lora_weights="gaussian",
            target_modules=list(editor.TARGETS),
        )
    )
    weights = [one for one in transformer.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=_LEARNING_RATE, weight_decay=0.0)
    groups = [_Group(editor, task, effort) for task in _prompts(effort).batch(0)]
    start = time.perf_counter()
    for group in groups:
        for number in range(effort.window):
            loss = group.loss(transformer, number)
            (loss / (len(groups) * effort.window)).backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimiser.step()
    optimiser.zero_grad()
    return time.perf_counter() - start


class _Group:
    """Edits of one task, as if sampled."""

    def __init__(self, editor: "KontextEditor", task: "EditTask", effort: UpdateEffort) -> None:
        import torch
        from diffusers import FluxKontextPipeline

        condition = editor.encode([task]).repeat(effort.group_size)
        generator = torch.Generator().manual_seed(SEED)
        self._latents = editor.noise(condition, generator)
        self._following = editor.noise(condition, generator)
        self._sources = condition.sources_BSC
        self._prompt = condition.prompt
        self._times: Sequence[float] = editor.times(effort.denoising_steps, condition)
        self._advantages_B = torch.linspace(-1, 1, effort.group_size)
        ids = [
            FluxKontextPipeline._prepare_latent_image_ids(
                1, grid.rows, grid.columns, editor.device, torch.float32
            )
            for grid in condition.grids
        ]
        ids[1][:, 0] = 1
        self._picture_ids = torch.cat(ids)
        self._text_ids = torch.zeros(self._prompt.features_BTD.shape[1], 3)

    def loss(self, transformer: "FluxTransformer2DModel", number: int) -> "Tensor":
        """Flow-GRPO's, of one step."""
        import torch

        time, following = self._times[number : number + 2]
        length = following - time
        sigma = _ETA * ((1 - time) / (time or following)) ** 0.5
        pull, x = sigma**2 / (2 * (1 - time)), self._latents

        def mean() -> "Tensor":
            predicted = transformer(
                hidden_states=torch.cat([x, self._sources], dim=1),
                timestep=torch.full((len(x),), 1 - time),
                pooled_projections=self._prompt.pooled_BD,
                encoder_hidden_states=self._prompt.features_BTD,
                txt_ids=self._text_ids,
                img_ids=self._picture_ids,
                return_dict=False,
            )[0]
            velocity = -predicted[:, : x.shape[1]]
            return x * (1 - pull * length) + velocity * (1 + pull * time) * length

        now = mean()
        transformer.disable_adapters()
        with torch.no_grad():
            anchor = mean()
        transformer.enable_adapters()
        deviation = sigma * length**0.5
        log_prob_B = -0.5 * ((self._following - now) / deviation).square().mean((1, 2))
        ratio_B = (log_prob_B - log_prob_B.detach()).exp()
        clipped_B = ratio_B.clamp(1 - _CLIP, 1 + _CLIP)
        advantages_B = self._advantages_B
        policy = torch.maximum(-advantages_B * ratio_B, -advantages_B * clipped_B).mean()
        return policy + _KL_WEIGHT * (now - anchor).square().mean() / (2 * sigma**2)


def _editor(effort: UpdateEffort, folder: Path) -> "KontextEditor":
    """The folder's editor with a wider transformer."""
    import torch
    from diffusers import FluxTransformer2DModel

    from spatialreward.editors.flux_kontext import KontextConfig, KontextEditor

    config = KontextConfig(
        max_pixels=effort.side**2, auto_resize=False, max_sequence_length=_JOINT_WIDTH
    )
    loaded = KontextEditor.load(folder, config)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        wide = FluxTransformer2DModel(
            in_channels=loaded.transformer.config.in_channels,
            num_layers=effort.layers,
            num_single_layers=effort.layers,
            attention_head_dim=_HEAD_SIZE,
            num_attention_heads=effort.heads,
            joint_attention_dim=_JOINT_WIDTH,
            pooled_projection_dim=_JOINT_WIDTH,
            guidance_embeds=False,
            axes_dims_rope=(16, 24, 24),
        )
    return KontextEditor(loaded.parts._replace(transformer=wide), config, folder)


def _config(effort: UpdateEffort) -> "RlConfig":
    from spatialreward.editors.config import SamplingConfig, StepWindow
    from spatialreward.rl.algorithms.config import FlowGrpoSettings
    from spatialreward.rl.config import RlConfig

    return RlConfig(
        seed=SEED,
        num_steps=1,
        num_prompts=effort.num_prompts,
        group_size=effort.group_size,
        groups_at_a_time=1,
        learning_rate=_LEARNING_RATE,
        ema_decay=None,
        algorithm=FlowGrpoSettings(kl_weight=_KL_WEIGHT, clip_low=_CLIP, clip_high=_CLIP),
        sampling=SamplingConfig(
            num_denoising_steps=effort.denoising_steps,
            eta=_ETA,
            window=StepWindow(num_steps=effort.window),
        ),
    )


def _prompts(effort: UpdateEffort) -> "WorldPrompts":
    from spatialreward.world.config import DataConfig
    from spatialreward.world.prompts import WorldPrompts

    return WorldPrompts(DataConfig(seed=SEED, picture_size=effort.side), effort.num_prompts)
