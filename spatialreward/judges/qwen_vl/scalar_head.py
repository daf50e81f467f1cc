"""The scalar head of a judge: a linear layer a dimension on a prompt's last hidden state.

Its separate file lies beside the weights, so the checkpoint otherwise matches its architecture. A
score is ``25 * sigmoid(logit)``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl.folder import HEAD_FILE
from spatialreward.judges.qwen_vl.weights import read_tensors
from spatialreward.records import MAX_SCORE, SCORES_OF, Streams

# B prompts, H hidden size, D dimensions


class ScalarHead(nn.Module):
    """Logits of scores, for the streams that it was trained on."""

    def __init__(self, hidden_size: int, streams: Sequence[Streams]) -> None:
        """A head that scores the middle of the scale, until trained or loaded.

        Args:
            hidden_size: of the language model.
            streams: that it scores.
        """
        super().__init__()
        self.streams = tuple(stream for stream in SCORES_OF if stream in streams)
        self.linear = nn.Linear(hidden_size, len(self.dimensions))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the scores, in the order of the logits."""
        return tuple(name for stream in self.streams for name in SCORES_OF[stream])

    def columns(self, stream: Streams) -> slice:
        """Indices of a stream's two logits."""
        start = 2 * self.streams.index(stream)
        return slice(start, start + 2)

    def forward(self, hidden_BH: torch.Tensor) -> torch.Tensor:
        """Logits ``[B, D]`` in 32 bits."""
        with torch.autocast(hidden_BH.device.type, enabled=False):
            return self.linear(hidden_BH.to(self.linear.weight.dtype)).float()

    def scores(self, logits_BD: torch.Tensor, stream: Streams) -> list[list[float]]:
        """The two scores of a stream for each row, 0..25."""
        return (MAX_SCORE * logits_BD[:, self.columns(stream)].sigmoid()).tolist()


def read_head(folder: Path, hidden_size: int) -> ScalarHead:
    """Load the head in a folder.

    Args:
        folder: a checkpoint or an adapter.
        hidden_size: of its model.

    Raises:
        InvalidInputError: it is missing, damaged, or does not fit the model.
    """
    path = folder / HEAD_FILE
    if not path.is_file():
        raise InvalidInputError(f"{folder}: no {HEAD_FILE}, which scores are read with")
    found = {name: one.shape for name, one in read_tensors(path).items()}
    there = [one for one, names in SCORES_OF.items() if f"{names[0]}.weight" in found]
    # A file without any known score lacks all of them.
    streams = there or list(SCORES_OF)
    head = ScalarHead(hidden_size, streams)
    expected = {
        f"{name}.{part}": shape
        for name in head.dimensions
        for part, shape in (("weight", (hidden_size,)), ("bias", (1,)))
    }
    if expected != found:
        name = min(set(expected.items()) ^ set(found.items()))[0]
        raise InvalidInputError(
            f"{path}: a head file that does not fit: {name}: expected "
            f"{_shape(expected.get(name))}, found {_shape(found.get(name))}"
        )
    from safetensors.torch import load_file

    tensors = load_file(path)
    for row, name in enumerate(head.dimensions):
        head.linear.weight.data[row] = tensors[f"{name}.weight"].float()
        head.linear.bias.data[row] = tensors[f"{name}.bias"].float()[0]
    return head


def write_head(folder: Path, head: ScalarHead, weights: Mapping[str, torch.Tensor]) -> None:
    """Write a head beside the weights of a checkpoint or an adapter.

    Args:
        folder: an existing folder.
        head: gives the streams that it scores.
        weights: its own, by their names in the module; ZeRO-3 partitions the module's tensors.
    """
    from safetensors.torch import save_file

    tensors = {}
    for row, name in enumerate(head.dimensions):
        tensors[f"{name}.weight"] = weights["linear.weight"][row].float().cpu().contiguous().clone()
        tensors[f"{name}.bias"] = weights["linear.bias"][row : row + 1].float().cpu().clone()
    save_file(tensors, folder / HEAD_FILE, metadata={"format": "pt"})


def _shape(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else str(list(shape))
