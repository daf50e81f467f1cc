"""Writes a trained judge: a checkpoint, or an adapter for its base."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.scalar_head import write_head
from spatialreward.protocol.prompts import Protocol
from spatialreward.training.base import Base
from spatialreward.training.config import Tuning
from spatialreward.training.head import head_in, head_weights, is_of_head
from spatialreward.training.processes import Processes

if TYPE_CHECKING:
    from transformers import Trainer

    from spatialreward.judges.qwen_vl.processor import Processor


class JudgeWriter:
    """Writes a judge or an adapter from a trainer."""

    def __init__(
        self,
        base: Base,
        tuning: Tuning,
        protocol: Protocol,
        processor: "Processor",
        processes: Processes,
    ) -> None:
        """Store the base, the settings, and the files that belong beside the weights."""
        self._base = base
        self._tuning = tuning
        self._protocol = protocol
        self._processor = processor
        self._processes = processes

    def write(self, trainer: "Trainer", out: Path, card: dict[str, Any]) -> None:
        """Write from the first process; all processes gather sharded weights."""
        weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        if self._processes.is_first:
            shutil.rmtree(out, ignore_errors=True)
            unfinished = out.with_name(out.name + ".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            model = trainer.accelerator.unwrap_model(trainer.model)
            of_head = head_weights(weights)
            own = {name: one for name, one in weights.items() if not is_of_head(name)}
            if self._tuning.kind == "full":
                checkpoint.save(
                    unfinished, model, self._processor, card, self._protocol, weights=own
                )
            else:
                self._write_adapter(model, own, unfinished, card)
            if of_head:
                write_head(unfinished, head_in(model), of_head)
            unfinished.rename(out)
        self._processes.wait()

    def _write_adapter(
        self, model: Any, weights: dict[str, Any], out: Path, card: dict[str, Any]
    ) -> None:
        if not self._tuning.merge:
            model.save_pretrained(out, state_dict=weights, save_embedding_layers=False)
            checkpoint.write_card(out, card)
            self._protocol.write(out)
            return
        with TemporaryDirectory(dir=out.parent) as folder:
            adapter = Path(folder)
            model.save_pretrained(adapter, state_dict=weights, save_embedding_layers=False)
            with _undivided():
                merged, _ = checkpoint.load_merged(self._base.folder, adapter)
            checkpoint.save(out, merged, self._processor, card, self._protocol)


@contextmanager
def _undivided() -> Iterator[None]:
    """Load models whole that ZeRO-3 would partition."""
    from transformers.integrations import deepspeed

    reference = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = reference
