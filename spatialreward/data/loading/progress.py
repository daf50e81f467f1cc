"""Counts what was really handed out, on the side of whoever uses the samples.

Workers read ahead, so they cannot know what has been used; each sample says where it stands.
"""

from collections.abc import Iterable

from spatialreward.data.loading.state import Leg, LoaderState, Mark, Share
from spatialreward.errors import InvalidInputError


class Progress:
    """How far this rank's streams have come."""

    def __init__(self, state: LoaderState, share: Share) -> None:
        """Go on from ``state``, which a training began with or kept.

        Raises:
            InvalidInputError: the state does not know how far this rank's streams have come.
        """
        self.share = share
        self._state = state.for_streams(share.num_streams)
        known = self._state.legs[-1].taken
        if missing := [stream for stream in share.streams if stream not in known]:
            raise InvalidInputError(
                f"state of epoch {state.epoch}: does not know of stream {missing[0]}, one of rank "
                f"{share.rank}'s: it is another rank's state"
            )
        self._taken = {stream: known[stream] for stream in share.streams}

    @property
    def state(self) -> LoaderState:
        """What to keep in order to go on behind the last sample that was advanced over."""
        own = Leg(num_streams=self.share.num_streams, taken=self._taken)
        return self._state.model_copy(update={"legs": (*self._state.legs[:-1], own)})

    def advance(self, marks: Iterable[Mark]) -> None:
        """Note that these samples were used, in the order in which they came.

        Raises:
            InvalidInputError: one is not the next of its stream, so that another would be lost or
                come twice.
        """
        for mark in marks:
            if mark.epoch != self._state.epoch or mark.position != self._taken.get(mark.stream):
                raise InvalidInputError(
                    f"sample {mark.position} of stream {mark.stream}, epoch {mark.epoch}: expected "
                    f"sample {self._taken.get(mark.stream)} of epoch {self._state.epoch}"
                )
            self._taken[mark.stream] += 1

    def next_epoch(self) -> None:
        """Begin the next epoch, whatever is left of this one."""
        self._state = self._state.next_epoch().for_streams(self.share.num_streams)
        self._taken = dict.fromkeys(self.share.streams, 0)
