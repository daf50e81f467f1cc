"""A checkpoint on this machine with its adapter and protocol, before its weights are read."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.folder import CheckpointFolder
from spatialreward.judges.qwen_vl.limits import check_limits
from spatialreward.protocol.choice import home_of, place_of, protocol_of
from spatialreward.protocol.prompts import Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from spatialreward.judges.qwen_vl.processor import Processor


class LocalCheckpoint(NamedTuple):
    """A folder, an adapter to merge into it, and its protocol."""

    checked: CheckpointFolder
    adapter: Path | None
    protocol: Protocol
    place: str
    """Origin of the protocol, for messages."""

    @classmethod
    def read(cls, folder: Path, adapter: Path | None, protocol: str | Path | None) -> Self:
        """Inspect a checkpoint.

        Args:
            folder: the checkpoint.
            adapter: folder of a LoRA to merge into the weights; its own protocol counts, if it has
                one, because it was trained with it.
            protocol: for a checkpoint without one, as ``protocol_of`` takes it.

        Raises:
            InvalidInputError: the folder holds no checkpoint, a damaged one or one that cannot
                judge, or an adapter that ``adapter`` does not name; or the protocol is missing.
        """
        checked = CheckpointFolder.read(folder, adapter=adapter)
        if adapter is None:
            checked.require_judge()
        home = home_of(folder, adapter)
        return cls(checked, adapter, protocol_of(home, protocol), place_of(home, protocol))

    @property
    def weights(self) -> str:
        """Digest of folder and adapter, as in ``JudgeIdentity``; reads both completely."""
        folders = [one for one in (self.checked.path, self.adapter) if one is not None]
        return "+".join(map(digest_folder, folders))

    @property
    def name(self) -> str:
        """Name of the folder, the judge's default name."""
        return self.checked.path.resolve().name

    @property
    def notice(self) -> str:
        """A remark for readers of the judgements."""
        return str(self.checked.card.get("notice", ""))

    def load(self) -> "tuple[PreTrainedModel, Processor]":
        """Load model and processor, onto the GPU if there is one.

        Raises:
            InvalidInputError: weights or adapter do not fit, or the protocol shows larger pictures
                or allows longer answers than the model can read.
        """
        model, processor = checkpoint.load(
            self.checked.path, self.protocol.square_side, adapter=self.adapter
        )
        check_limits(self.protocol, self.place, model.config, processor)
        return model, processor
