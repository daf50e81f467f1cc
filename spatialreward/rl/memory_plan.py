"""Estimates GPU memory of an editor's RL, and finds settings that fit a card.

Counts weights on models built from their configurations alone, on torch's meta device; loads
nothing. Activations are estimates, by the formulas in the docstrings; a fifth of a card stays
reserved for the rest: workspaces of kernels, fragmentation, the driver.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from torch import nn

    from spatialreward.editors.config import LoraConfig

GIB = 2**30
CARDS_GIB = (24, 48, 80)
_USED_SHARE = 0.8
_PROCESSES = (1, 2, 4, 8)
_TOKEN_PX = 16
"""Side of one token's area, in all editors: 8 pixels a latent, 2 x 2 latents a token."""
_TEXT_TOKENS = 512
_BLOCK_BYTES = 34
_KEPT_BYTES = 2

Sharding = Literal["zero2", "zero3", "fsdp2"]


@dataclass(frozen=True)
class Sizes:
    """Size of an editor, in numbers of weights unless the name says otherwise."""

    base: int
    """The transformer, without a LoRA."""
    largest_block: int
    num_blocks: int
    width: int
    """Hidden size between the blocks."""
    adapters: int
    text: int
    """All text encoders."""
    vae: int
    vae_width: int
    """Channels of the VAE at the resolution of the picture."""
    vae_number_bytes: int
    """4: always float32; 0: as the base."""


@dataclass(frozen=True)
class Setting:
    """Settings that affect memory, beside the editor."""

    size_px: int = 512
    """Side of source picture and edit."""
    num_sources: int = 1
    edits_at_a_time: int = 8
    checkpointing: bool = True
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    sharding: Sharding | None = None
    processes: int = 1
    kept_steps: int = 10
    """Recorded denoising steps, of all edits of a process's step."""
    edits_a_step: int = 64
    """Per process; their rollouts stay until the step's updates are done."""
    copies: int = 1
    """Of the trained weights: a moving average, an old policy."""

    @property
    def number_bytes(self) -> int:
        """Per number of the base and of activations."""
        return 2 if self.precision == "bfloat16" else 4

    @property
    def tokens(self) -> int:
        """Of one edit: the noisy picture, the sources, and the text at its usual maximum."""
        of_picture = math.ceil(self.size_px / _TOKEN_PX) ** 2
        return of_picture * (1 + self.num_sources) + _TEXT_TOKENS


def memory_of(sizes: Sizes, setting: Setting) -> dict[str, float]:
    """Bytes on each process's GPU, by part.

    With ``N`` numbers in the base, ``n`` in the adapters, ``P`` processes and ``b`` bytes a number:

    - ``base``: ``N b``; partitioned (``zero3``, ``fsdp2``) ``N b / P`` and twice the largest block:
      the running one and the next one being gathered;
    - ``adapters``: ``4 n`` and ``4 n`` for each copy, such as the moving average;
    - ``gradients``: ``4 n``; with ``zero2`` ``4 n / P``;
    - ``optimiser``: AdamW's moments, ``8 n``; with ``zero2`` ``12 n / P``, its own copy among them;
    - ``activations`` of ``B`` edits of ``s`` tokens of width ``h`` in ``L`` blocks, of 16 bits:
      ``34 s B h`` bytes a block, and ``2 s B h`` where a block keeps only its input and recomputes
      the rest, so ``L 34 s B h`` or ``(2 L + 34) s B h`` (Korthikanti et al.,
      arXiv 2205.05198, equation 2 without the attention matrix, which fused kernels never keep,
      and section 5); twice that in 32 bits;
    - ``rollouts``: the latents of recorded steps, float32, 64 numbers a token of the picture;
    - ``text encoder``, ``vae``: their weights, whole in each process; ``decoding``: four tensors of
      the VAE's widest resolution, of one picture, float32.
    """
    number, together = setting.number_bytes, setting.processes
    divides = setting.sharding in ("zero3", "fsdp2")
    base = sizes.base * number
    if divides and together > 1:
        base = base / together + 2 * sizes.largest_block * number
    part = together if setting.sharding == "zero2" else 1
    moments = 12 if setting.sharding == "zero2" else 8
    of_blocks = (
        _KEPT_BYTES * sizes.num_blocks + _BLOCK_BYTES
        if setting.checkpointing
        else _BLOCK_BYTES * sizes.num_blocks
    )
    tokens = setting.tokens * setting.edits_at_a_time
    latents = math.ceil(setting.size_px / _TOKEN_PX) ** 2 * 64 * 4
    return {
        "base": base,
        "adapters": 4 * sizes.adapters * (1 + setting.copies),
        "gradients": 4 * sizes.adapters / part,
        "optimiser": moments * sizes.adapters / part,
        "activations": of_blocks * tokens * sizes.width * number / 2,
        "rollouts": latents * (setting.kept_steps + 1) * setting.edits_a_step,
        "text encoder": sizes.text * number,
        "vae": sizes.vae * (sizes.vae_number_bytes or number),
        "decoding": 4 * sizes.vae_width * setting.size_px**2 * 4,
    }


def fitting(sizes: Sizes, wanted: Setting, card_gib: int) -> Setting | None:
    """The setting with which a training fits a card; None: none of those tried.

    Prefers few processes, then many edits at a time, then no checkpointing; a base that exceeds one
    card is partitioned among 2, 4 or 8.
    """
    for setting in _settings(wanted):
        if sum(memory_of(sizes, setting).values()) <= _USED_SHARE * card_gib * GIB:
            return setting
    return None


def _settings(wanted: Setting) -> Iterator[Setting]:
    numbers = [wanted.edits_at_a_time]
    while numbers[-1] > 1:
        numbers.append(numbers[-1] // 2)
    for processes in _PROCESSES:
        for number in numbers:
            for checkpointing in (False, True):
                yield replace(
                    wanted,
                    edits_at_a_time=number,
                    checkpointing=checkpointing,
                    processes=processes,
                    sharding="fsdp2" if processes > 1 else None,
                )


def sizes_of(folder: Path, lora: "LoraConfig | None" = None) -> Sizes:
    """Count an editor's weights from its configurations.

    Args:
        folder: in diffusers' layout; no weights are needed.
        lora: the LoRA to train; None: the usual one on the published targets.

    Raises:
        InvalidInputError: there is no such editor, or a component has no configuration or an
            invalid one; names it.
    """
    import torch

    from spatialreward.editors.adapters import add_lora
    from spatialreward.editors.components import read_index
    from spatialreward.editors.config import LoraConfig
    from spatialreward.editors.load import PIPELINES, kind_of
    from spatialreward.editors.lora_files import lora_path

    if lora_path(folder) is not None:
        raise InvalidInputError(f"{folder}: holds a LoRA; a plan is of its base")
    index = read_index(folder, tuple(PIPELINES))
    with torch.device("meta"):
        models = {
            name: _checked_model(folder / name, *stated)
            for name, stated in index.items()
            if isinstance(stated, list) and (folder / name / "config.json").is_file()
        }
        for name in ("transformer", "vae"):
            if name not in models:
                raise InvalidInputError(f"{folder / name}: expected a config.json")
        transformer = models.pop("transformer")
        base = _count(transformer)
        blocks = _blocks(transformer)
        add_lora(transformer, lora or LoraConfig(), kind_of(folder).TARGETS)
    config, vae = transformer.config, models.pop("vae")
    width = config.get("hidden_size") or (
        config["num_attention_heads"] * config["attention_head_dim"]
    )
    return Sizes(
        base=base,
        largest_block=max(blocks),
        num_blocks=len(blocks),
        width=width,
        adapters=sum(one.numel() for one in transformer.parameters() if one.requires_grad),
        text=sum(map(_count, models.values())),
        vae=_count(vae),
        vae_width=_width_of_vae(vae.config),
        vae_number_bytes=4 if index["_class_name"] == "OmniGen2Pipeline" else 0,
    )


def table(sizes: Sizes, setting: Setting, judge_bytes: int = 0) -> str:
    """The plan as text: each part of a setting in GiB, and what fits which card."""
    parts = memory_of(sizes, setting)
    lines = [f"{_summary(setting)}, {setting.size_px} px, LoRA of {sizes.adapters:,} weights:"]
    lines += [f"  {name:<13}{size / GIB:8.2f} GiB" for name, size in parts.items()]
    lines.append(f"  {'in all':<13}{sum(parts.values()) / GIB:8.2f} GiB a process")
    if judge_bytes:
        lines.append(f"  {'judge, apart':<13}{judge_bytes / GIB:8.2f} GiB of weights")
    for card in CARDS_GIB:
        found = fitting(sizes, setting, card)
        fit = "none of the settings tried fits" if found is None else _summary(found)
        lines.append(f"{card} GB card: {fit}")
    return "\n".join(lines)


def _summary(setting: Setting) -> str:
    many = f"{setting.processes} process" + ("es" if setting.processes > 1 else "")
    return (
        f"{many}, {setting.sharding or 'nothing divided'}, edits_at_a_time "
        f"{setting.edits_at_a_time}, gradient checkpointing "
        f"{'on' if setting.checkpointing else 'off'}, {setting.precision}"
    )


def _checked_model(folder: Path, library: str, name: str) -> "nn.Module":
    try:
        return _model(folder, library, name)
    except InvalidInputError:
        raise
    except (AttributeError, TypeError, ValueError, ArithmeticError) as error:
        problem = " ".join(str(error).split())
        raise InvalidInputError(f"{folder / 'config.json'}: makes no {name}: {problem}") from error


def _model(folder: Path, library: str, name: str) -> "nn.Module":
    """Build a component on torch's default device."""
    from spatialreward.judges.qwen_vl.weights import read_object

    if name == "OmniGen2Transformer2DModel":
        from spatialreward.editors.omnigen2.transformer import OmniGen2Transformer2DModel

        return OmniGen2Transformer2DModel.from_config(read_object(folder / "config.json"))
    kind = getattr(import_module(library), name)
    if library == "diffusers":
        return kind.from_config(read_object(folder / "config.json"))
    return kind(kind.config_class.from_pretrained(folder))


def _blocks(transformer: "nn.Module") -> list[int]:
    """Weights of each block in a transformer's lists."""
    from torch import nn

    lists = [one for one in transformer.children() if isinstance(one, nn.ModuleList)]
    return [_count(block) for one in lists for block in one]


def _count(module: "nn.Module") -> int:
    return sum(one.numel() for one in module.parameters())


def _width_of_vae(config: Mapping[str, Any]) -> int:
    """Qwen's VAE states a width and multiples of it, the others the widths of their levels."""
    widths = config.get("block_out_channels")
    return widths[0] if widths else config["base_dim"]
