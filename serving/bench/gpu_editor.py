"""Cost of an RL step on one GPU, with an editor in OmniGen2's shape and a random judge.

As in the published RL: a LoRA of rank 32 with float32 weights on a transformer in bfloat16,
gradient checkpointing, 20 steps of which the first 60 % are guided, edits of 512 x 512 pixels. Two
of the steps are trained, as in Flow-GRPO-Fast. The judge shares the GPU, so judging does not run in
the background here and sampling, judging and the update add up to the step; ``serving.bench.rl``
measures how much of a remote judge's time the background hides.
"""

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from serving.bench.brightness import Brightness
from spatialreward.world.random_omnigen2 import TOY, Shape

if TYPE_CHECKING:
    from spatialreward.data.dataset import Dataset
    from spatialreward.editors.omnigen2.editor import OmniGen2Editor
    from spatialreward.figures import Figure
    from spatialreward.judges.engines.engine import Judge
    from spatialreward.rl.config import RlConfig

SEED = 29
PUBLISHED = Shape(
    transformer=MappingProxyType({}),
    # FLUX.1's VAE, and the language model of Qwen2.5-VL-3B.
    vae=MappingProxyType({"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}),
    text=MappingProxyType(
        {
            "vocab_size": 151_936,
            "hidden_size": 2_048,
            "intermediate_size": 11_008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        }
    ),
    change=0.02,
)
EDITORS: Mapping[str, Shape] = MappingProxyType({"omnigen2": PUBLISHED, "tiny": TOY})
"""By their names in figures; ``tiny`` runs without a GPU."""


class Effort(NamedTuple):
    """Size of the measurement."""

    num_steps: int = 3
    """The first one does not count."""
    num_prompts: int = 2
    group_size: int = 4
    denoising_steps: int = 20
    trained_steps: int = 2
    rank: int = 32

    @property
    def num_edits(self) -> int:
        """Edits of a step."""
        return self.num_prompts * self.group_size


_EFFORT = Effort()


def measure_editor(
    name: str, judge: "Judge", data: "Dataset", effort: Effort = _EFFORT
) -> "list[Figure]":
    """Seconds of an RL step and of its parts, edits a second, and peak memory.

    Args:
        name: of one of ``EDITORS``.
        judge: called for every edit; the reward is brightness, independent of its answer.
        data: its sources and instructions are the prompts.
        effort: size of the measurement.
    """
    import torch

    from spatialreward.figures import Figure
    from spatialreward.rl.loop import Trainer
    from spatialreward.rl.prompts import DatasetPrompts

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    steps: list[dict[str, float]] = []
    trainer = Trainer(
        config(effort),
        random_editor(name, effort.rank),
        Brightness(judge.judge),
        DatasetPrompts(data, effort.num_prompts),
    )
    trainer.run(lambda metrics, step: steps.append(metrics))
    # The first step warms up kernels and the allocator.
    counted = steps[1:]
    wholes = [one["time/step_s"] for one in counted]
    peak = _peak_gib()
    updates = [effort.num_edits * effort.trained_steps / one["time/update_s"] for one in counted]
    return [
        Figure(
            name=f"editor/{name}/seconds_a_step",
            value=statistics.median(wholes),
            unit="s",
            spread=(min(wholes), max(wholes)),
        ),
        Figure(
            name=f"editor/{name}/pictures_per_s",
            value=effort.num_edits / statistics.median(wholes),
            unit="1/s",
        ),
        *(_split(name, counted)),
        Figure(
            name=f"editor/{name}/update/picture_steps_per_s",
            value=statistics.median(updates),
            unit="1/s",
        ),
        Figure(name=f"editor/{name}/peak_gib", value=peak, unit="GiB"),
    ]


def config(effort: Effort) -> "RlConfig":
    """Flow-GRPO-Fast in the sampler of OmniGen2's published RL.

    The editor processes one group at once, the judge all of a step.
    """
    from spatialreward.editors.config import SamplingConfig, StepWindow
    from spatialreward.rl.config import RlConfig

    return RlConfig(
        seed=SEED,
        num_steps=effort.num_steps,
        num_prompts=effort.num_prompts,
        group_size=effort.group_size,
        groups_at_a_time=effort.num_prompts,
        edits_at_a_time=effort.group_size,
        scores_in_background=False,
        save_every=effort.num_steps,
        ema_decay=None,
        sampling=SamplingConfig(
            num_denoising_steps=effort.denoising_steps,
            guidance_range=(0.0, 0.6),
            window=StepWindow(num_steps=effort.trained_steps),
        ),
    )


def random_editor(name: str, rank: int) -> "OmniGen2Editor":
    """An editor with random weights and a new LoRA, built on its device."""
    import torch

    from spatialreward.editors.config import LoraConfig
    from spatialreward.editors.omnigen2.config import OmniGen2Config
    from spatialreward.editors.omnigen2.editor import OmniGen2Editor
    from spatialreward.world.random_omnigen2 import random_omnigen2

    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        parts = random_omnigen2(EDITORS[name], SEED, torch.bfloat16)
    # The folder is never read or written.
    editor = OmniGen2Editor(parts, OmniGen2Config(), Path(name), f"{name} of random weights")
    editor.add_lora(LoraConfig(rank=rank, alpha=2 * rank), seed=SEED, checkpointing=True)
    return editor


def _split(name: str, steps: list[dict[str, float]]) -> "Iterator[Figure]":
    from spatialreward.figures import Figure

    for part, metric in (("draw", "rollout"), ("judge", "judging"), ("update", "update")):
        seconds = [one[f"time/{metric}_s"] for one in steps]
        yield Figure(
            name=f"editor/{name}/{part}/seconds_a_step",
            value=statistics.median(seconds),
            unit="s",
            spread=(min(seconds), max(seconds)),
        )


def _peak_gib() -> float:
    """Of the GPU if there is one, else of this process."""
    import torch

    from spatialreward.figures import peak_memory_bytes

    on_gpu = torch.cuda.is_available()
    return (torch.cuda.max_memory_allocated() if on_gpu else peak_memory_bytes()) / 2**30
