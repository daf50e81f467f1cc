"""Finds and describes a LoRA in a folder, in the format of RL, diffusers or peft.

All of them store safetensors. Rank and targets are derived from the tensors, so files without
settings load as well.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spatialreward.errors import InvalidInputError
from spatialreward.hub import ON_HUB
from spatialreward.judges.qwen_vl.weights import read_object, read_tensors

logger = logging.getLogger(__name__)

LORA_FILE = "pytorch_lora_weights.safetensors"
"""Name that diffusers' ``load_lora_weights`` expects."""
PEFT_FILE, PEFT_CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"
"""Name that peft's ``save_pretrained`` writes."""
PREFIX = "transformer."
"""Prefix of names in diffusers' format."""
METADATA_KEY = "lora_adapter_metadata"
"""Header key of an adapter's settings in diffusers; without them it assumes alpha = rank."""
_PEFT_PREFIX = "base_model.model."
_FIRST = ".lora_A.weight"
_UNSUPPORTED = ("rank_pattern", "alpha_pattern", "use_rslora", "use_dora")


class LoraFile(NamedTuple):
    """A LoRA's weights and settings."""

    path: Path
    prefix: str
    """Prefix of its tensors' names before the transformer's own."""
    shapes: Mapping[str, tuple[int, ...]]
    """By the names in the file."""
    rank: int
    alpha: float
    targets: tuple[str, ...]
    """Names of the layers."""
    stated_base: str
    """Hub model that the file names as its base; empty: none."""


def lora_path(folder: Path) -> Path | None:
    """The file with a LoRA's weights; None: the folder holds none."""
    found = [folder / name for name in (LORA_FILE, PEFT_FILE) if (folder / name).is_file()]
    return found[0] if found else None


def read_lora_file(folder: Path) -> LoraFile:
    """Describe the LoRA in a folder, without its tensors.

    Raises:
        InvalidInputError: it is missing, damaged, or of an unsupported kind; names the file, and
            the tensor or setting.
    """
    path = lora_path(folder)
    if path is None:
        raise InvalidInputError(f"{folder}: no LoRA here, expected {LORA_FILE} or {PEFT_FILE}")
    shapes = {name: one.shape for name, one in read_tensors(path).items()}
    names = sorted(shapes)
    prefix = next(
        (one for one in (PREFIX, _PEFT_PREFIX) if any(name.startswith(one) for name in names)), ""
    )
    first = [name for name in names if name.endswith(_FIRST)]
    if not first:
        found = f", got {names[0]}" if names else ", got no tensor"
        raise InvalidInputError(f"{path}: expected tensors that end in {_FIRST}{found}")
    where, stated = _stated(path)
    if unsupported := [one for one in _UNSUPPORTED if stated.get(one)]:
        raise InvalidInputError(f"{where}: {unsupported[0]} is not supported")
    # Mixed ranks fail later, when the LoRA is loaded, with the name of a tensor.
    rank = stated.get("r", shapes[first[0]][0])
    targets = (name.removeprefix(prefix).removesuffix(_FIRST) for name in first)
    return LoraFile(
        path,
        prefix,
        shapes,
        rank,
        float(stated.get("lora_alpha", rank)),
        tuple(targets),
        str(stated.get("base_model_name_or_path") or ""),
    )


def check_stated_base(file: LoraFile, base: str) -> None:
    """Warn that the base of a LoRA without a card is unknown.

    Args:
        file: of the LoRA.
        base: the editor that receives it: a folder, or ``hub:OWNER/NAME@COMMIT``.

    Raises:
        InvalidInputError: both name different hub models.
    """
    on_hub = base.removeprefix(ON_HUB).partition("@")[0]
    if file.stated_base and base.startswith(ON_HUB) and file.stated_base != on_hub:
        raise InvalidInputError(f"{file.path}: this LoRA is for {file.stated_base}, not for {base}")
    stated = f"; its settings name {file.stated_base}" if file.stated_base else ""
    logger.warning(
        "%s: has no card, so its base is not known%s; it is put on %s if all of it fits",
        *(file.path, stated, base),
    )


def _stated(path: Path) -> tuple[Path, Mapping[str, Any]]:
    """An adapter's settings, by peft's names, with their file."""
    beside = path.with_name(PEFT_CONFIG_FILE)
    if path.name == PEFT_FILE or beside.is_file():
        return beside, read_object(beside)
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        header = (file.metadata() or {}).get(METADATA_KEY, "{}")
    try:
        stated = json.loads(header)
    except ValueError as error:
        raise InvalidInputError(f"{path}: {METADATA_KEY}: is no JSON") from error
    return path, {key.removeprefix(PREFIX): value for key, value in stated.items()}
