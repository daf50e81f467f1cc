"""How far the reading of a packed data set has come: what to keep to go on at the exact sample."""

import os
from collections.abc import Sequence
from typing import NamedTuple, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record


class LoadingConfig(Record):
    """In which order a data set is read. A run that goes on has to have the same."""

    seed: int = 0
    buffer_rows: PositiveInt = 512
    """Rows that are in memory together and shuffled among each other, as whole row groups: as many
    as fit, and one at least. A stream has two such buffers at most, one of them being read."""
    drop_remainder: bool = False
    """Leave out the few rows (fewer than there are streams) that not every stream would have one
    of, so that all ranks take the same number of steps. Each epoch leaves out others, and none
    twice before every row has been left out once."""


class Share(Record):
    """Which part of every epoch this process reads: a stream for each of its workers."""

    rank: NonNegativeInt = 0
    world_size: PositiveInt = 1
    num_workers: NonNegativeInt = 0
    """Processes that read for this rank; 0 and 1 both make one stream."""

    @model_validator(mode="after")
    def _rank_is_of_this_world(self) -> Self:
        if self.rank >= self.world_size:
            raise ValueError(f"rank {self.rank}: expected one of 0..{self.world_size - 1}")
        return self

    @classmethod
    def from_environment(cls, num_workers: int = 0) -> Self:
        """As ``RANK`` and ``WORLD_SIZE`` say, which ``torchrun`` sets; alone if neither is set.

        Raises:
            InvalidInputError: only one of them is set, or they are no such numbers.
        """
        values = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")}
        if not any(values.values()):
            return cls(num_workers=num_workers)
        try:
            rank, world_size = (int(value) for value in values.values())
            return cls(rank=rank, world_size=world_size, num_workers=num_workers)
        except ValueError as error:
            raise InvalidInputError(f"share of an epoch from {values}: {error}") from error

    @property
    def streams(self) -> range:
        """Numbers of this rank's streams."""
        each = max(1, self.num_workers)
        return range(self.rank * each, (self.rank + 1) * each)

    @property
    def num_streams(self) -> int:
        """Streams of all ranks."""
        return self.world_size * max(1, self.num_workers)


class Mark(NamedTuple):
    """Where in an epoch a sample stands."""

    epoch: int
    stream: int
    position: int
    """Samples of the stream before it."""


class Leg(Record):
    """A part of an epoch that was read by one number of streams."""

    num_streams: PositiveInt
    taken: dict[NonNegativeInt, NonNegativeInt]
    """Samples that were handed out, by stream; a rank knows of its own streams only."""

    @model_validator(mode="after")
    def _streams_exist(self) -> Self:
        if strange := [stream for stream in self.taken if stream >= self.num_streams]:
            raise ValueError(f"stream {strange[0]}: there are only {self.num_streams}")
        return self

    @property
    def is_complete(self) -> bool:
        """Whether it is known of every stream how far it has come."""
        return len(self.taken) == self.num_streams


class LoaderState(Record):
    """How far an epoch has come; as JSON it belongs into the training's checkpoint."""

    data: str
    """Digest of the data set."""
    config: LoadingConfig
    epoch: NonNegativeInt = 0
    legs: tuple[Leg, ...] = ()
    """The epoch's parts so far; another one begins when the number of streams changes."""

    def for_streams(self, num_streams: int) -> "LoaderState":
        """The state from which ``num_streams`` streams go on with what is left of the epoch.

        Raises:
            InvalidInputError: the number of streams has changed, and how far all the others have
                come is not known; see ``merged``.
        """
        if self.legs and self.legs[-1].num_streams == num_streams:
            return self
        if self.legs and not self.legs[-1].is_complete:
            last = self.legs[-1]
            raise InvalidInputError(
                f"state of epoch {self.epoch}: knows of {len(last.taken)} of {last.num_streams} "
                f"streams, and {num_streams} are to go on; merge the states of all ranks first"
            )
        began = Leg(num_streams=num_streams, taken=dict.fromkeys(range(num_streams), 0))
        return self.model_copy(update={"legs": (*self.legs, began)})

    def next_epoch(self) -> "LoaderState":
        """The beginning of the epoch after this one."""
        return self.model_copy(update={"epoch": self.epoch + 1, "legs": ()})

    @classmethod
    def merged(cls, states: Sequence["LoaderState"]) -> "LoaderState":
        """What all ranks know together; needed only to go on with another number of streams.

        Raises:
            InvalidInputError: there is none, or they are not of the same part of the same epoch.
        """
        if not states:
            raise InvalidInputError("no states to merge")
        first = states[0]
        taken: dict[int, int] = {}
        for number, state in enumerate(states):
            if state._without_counts() != first._without_counts():
                raise InvalidInputError(
                    f"state {number}: is not of the same data, settings, epoch and streams as "
                    "state 0"
                )
            for stream, count in (state.legs[-1].taken if state.legs else {}).items():
                if taken.setdefault(stream, count) != count:
                    raise InvalidInputError(
                        f"state {number}: stream {stream} has come to {count}, and to "
                        f"{taken[stream]} in another state"
                    )
        if not first.legs:
            return first
        last = first.legs[-1].model_copy(update={"taken": taken})
        return first.model_copy(update={"legs": (*first.legs[:-1], last)})

    def _without_counts(self) -> tuple[object, ...]:
        last = self.legs[-1].num_streams if self.legs else None
        return self.data, self.config, self.epoch, self.legs[:-1], last
