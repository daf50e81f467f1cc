"""Merges a base and a LoRA into one checkpoint, for users without adapter support."""

import shutil
from pathlib import Path

from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.folder import HEAD_FILE, head_home, read_card
from spatialreward.judges.qwen_vl.scalar_head import read_head
from spatialreward.protocol.choice import stated_protocol


def merge_adapter(base: Path, adapter: Path, out: Path) -> None:
    """Write a base with an adapter merged into it; ``out`` appears only when complete.

    Protocol and scalar head are the adapter's if it has them, else the base's.

    Args:
        base: the checkpoint.
        adapter: the LoRA; a protocol file in it counts, else the base's.
        out: folder of the new checkpoint, with weights in the base's precision.

    Raises:
        InvalidInputError: either is damaged, or they or the head do not fit.
    """
    model, processor = checkpoint.load_merged(base, adapter)
    protocol = stated_protocol(base, adapter)
    head = head_home(base, adapter)
    if head is not None:
        # Detect a mismatch before writing anything.
        read_head(head, model.config.get_text_config().hidden_size)
    unfinished = out.with_name(f"{out.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    # A base that only describes may become a judge through its adapter.
    card = {key: value for key, value in read_card(base).items() if key != "judges"}
    card["adapter"] = str(adapter)
    checkpoint.save(unfinished, model, processor, card, protocol)
    if head is not None:
        shutil.copyfile(head / HEAD_FILE, unfinished / HEAD_FILE)
    unfinished.rename(out)
