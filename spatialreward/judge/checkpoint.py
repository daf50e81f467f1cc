"""A judge's folder: weights, tokenizer, chat template, image processor, protocol and card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.errors import InvalidInputError
from spatialreward.judge.processor import Processor
from spatialreward.protocol.prompts import Protocol

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration

CARD_FILE = "card.json"
SHIPPED_BASE = Path(__file__).parent / "grounded_base"
"""The grounded base that comes with the library."""


def save(
    folder: Path,
    model: "Qwen3VLForConditionalGeneration",
    processor: Processor,
    card: Mapping[str, object],
    protocol: Protocol | None = None,
) -> None:
    """Write a checkpoint; one without a protocol can describe but not judge."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save(folder)
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")
    if protocol is not None:
        protocol.write(folder)


def load(
    folder: Path, square_side: int | None
) -> tuple["Qwen3VLForConditionalGeneration", Processor]:
    """Weights (in 32 bits on a CPU) and processor of a checkpoint.

    Raises:
        InvalidInputError: the folder holds no checkpoint.
    """
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    if not (folder / "config.json").is_file():
        raise InvalidInputError(f"{folder}: no model here, expected a config.json")
    cuda = torch.cuda.is_available()
    model = Qwen3VLForConditionalGeneration.from_pretrained(
        folder, local_files_only=True, dtype=torch.bfloat16 if cuda else torch.float32
    )
    model.to("cuda" if cuda else "cpu")
    return model, Processor.load(folder, square_side)


def read_card(folder: Path) -> dict[str, object]:
    """What is known of a checkpoint's making; empty when there is no card."""
    path = folder / CARD_FILE
    return json.loads(path.read_text()) if path.is_file() else {}
