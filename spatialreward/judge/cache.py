"""Keys and values of a batch of answers: grown in blocks, copied to rows that share a prompt.

Transformers' own growing cache copies everything at every token, and its static one attends over
its whole capacity.
"""

from typing import Self

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

_BLOCK = 64


class _BlockLayer(CacheLayerMixin):
    """One layer's keys and values, ``[rows, heads, length, head size]`` with room for more."""

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        rows, capacity = len(key_states), key_states.shape[2] + _BLOCK
        self.keys = _room(key_states, rows, capacity)
        self.values = _room(value_states, rows, capacity)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args, **_more
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._length + key_states.shape[2]
        if end > self.keys.shape[2]:
            self.select(torch.arange(len(self.keys), device=self.keys.device))
        self.keys[:, :, self._length : end] = key_states
        self.values[:, :, self._length : end] = value_states
        self._length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def select(self, rows: torch.Tensor, start: int = 0) -> None:
        self._length -= start
        for name in ("keys", "values"):
            before = getattr(self, name)[:, :, start : start + self._length]
            after = _room(before, len(rows), self._length + _BLOCK)
            torch.index_select(before, 0, rows, out=after[:, :, : self._length])
            setattr(self, name, after)

    def join(self, other: Self) -> None:
        mine, theirs = self._length, other._length
        self._length = max(mine, theirs)
        for name in ("keys", "values"):
            above, below = getattr(self, name), getattr(other, name)
            joined = _room(above, len(above) + len(below), self._length + _BLOCK)
            # What is masked must still be a number: nothing times NaN is NaN.
            joined[:, :, : self._length] = 0
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
    """A cache whose rows can be chosen anew: one prompt's for many answers, or the unfinished."""

    def __init__(self) -> None:
        """Start empty; layers are added as the model reaches them."""
        super().__init__(layer_class_to_replicate=_BlockLayer)

    def select(self, rows: torch.Tensor, start: int = 0) -> None:
        """Keep these rows, each as often as it is named, without what stands before ``start``."""
        for layer in self.layers:
            layer.select(rows, start)

    def join(self, other: "BlockCache") -> None:
        """Add another cache's rows below; the ends of all are in the same place."""
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            mine.join(theirs)


def _room(like: torch.Tensor, rows: int, capacity: int) -> torch.Tensor:
    _, heads, _, size = like.shape
    return like.new_empty((rows, heads, capacity, size))
