"""Keys and values of a batch of answers: grown in blocks, copied to rows that share a prompt.

transformers' growing cache copies everything at every token, and its static one allocates the
longest possible answer at the start.
"""

from typing import Self

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

_BLOCK = 32


class _BlockLayer(CacheLayerMixin):
    """One layer's keys and values, ``[rows, heads, capacity, head size]``.

    The buffer is zero beyond the length, and attention masks it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        rows, length = len(key_states), key_states.shape[2]
        self.keys = _room(key_states, rows, length)
        self.values = _room(value_states, rows, length)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args, **_more
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append; returns everything, for a single token including the spare room."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        num_new = key_states.shape[2]
        end = self._length + num_new
        self.reserve(num_new)
        self.keys[:, :, self._length : end] = key_states
        self.values[:, :, self._length : end] = value_states
        self._length = end
        # Whole buffers are contiguous, which is fastest for attention with one token.
        if num_new == 1:
            return self.keys, self.values
        return self.keys[:, :, :end], self.values[:, :, :end]

    def reserve(self, num_new: int) -> None:
        if self._length + num_new > self.keys.shape[2]:
            for name in ("keys", "values"):
                before = getattr(self, name)[:, :, : self._length]
                after = _room(before, len(before), self._length + num_new)
                after[:, :, : self._length] = before
                setattr(self, name, after)

    def select(self, rows: torch.Tensor, start: int = 0) -> None:
        self._length -= start
        for name in ("keys", "values"):
            before = getattr(self, name)[:, :, start : start + self._length]
            after = _room(before, len(rows), self._length)
            torch.index_select(before, 0, rows, out=after[:, :, : self._length])
            setattr(self, name, after)

    def picked(self, rows: torch.Tensor) -> Self:
        other = type(self)()
        other.keys, other.values = self.keys[rows], self.values[rows]
        other._length, other.is_initialized = self._length, True
        return other

    def join(self, other: Self) -> None:
        mine, theirs = self._length, other._length
        self._length = max(mine, theirs)
        for name in ("keys", "values"):
            above, below = getattr(self, name), getattr(other, name)
            joined = _room(above, len(above) + len(below), self._length)
            joined[: len(above), :, self._length - mine : self._length] = above[:, :, :mine]
            joined[len(above) :, :, self._length - theirs : self._length] = below[:, :, :theirs]
            setattr(self, name, joined)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._length + query_length, 0

    def get_seq_length(self) -> int:
        return self._length

    def get_max_length(self) -> int:
        return -1


class BlockCache(Cache):
    """A cache with selectable rows: one prompt's for many answers, or the unfinished ones."""

    def __init__(self) -> None:
        """Start empty; the model adds layers when it reaches them."""
        super().__init__(layer_class_to_replicate=_BlockLayer)

    def reserve_one(self) -> int:
        """Make room for one more token; returns the resulting capacity."""
        for layer in self.layers:
            layer.reserve(1)
        return self.layers[0].keys.shape[2]

    def select(self, rows: torch.Tensor, start: int = 0) -> None:
        """Keep these rows, repeated as listed, without the columns before ``start``."""
        for layer in self.layers:
            layer.select(rows, start)

    def picked(self, rows: torch.Tensor) -> "BlockCache":
        """A copy of some rows, repeated as listed; this cache stays unchanged."""
        other = BlockCache()
        other.layers = [layer.picked(rows) for layer in self.layers]
        return other

    def join(self, other: "BlockCache") -> None:
        """Append another cache's rows; all rows end in the same column."""
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            mine.join(theirs)


def _room(like: torch.Tensor, rows: int, length: int) -> torch.Tensor:
    """Zeros with room beyond ``length``: zero times a masked value must not be NaN."""
    _, heads, _, size = like.shape
    return like.new_zeros((rows, heads, length + _BLOCK, size))
