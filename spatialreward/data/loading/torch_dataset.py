"""Packed edits for ``torch.utils.data.DataLoader``, with any number of workers."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from torch.utils.data import IterableDataset, get_worker_info  # noqa: TID253 - what it is for

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.loading.packed import PackedData, Sample
from spatialreward.data.loading.progress import Progress
from spatialreward.errors import InvalidInputError

Item = TypeVar("Item")


class EditDataset(IterableDataset, Generic[Item]):
    """What is left of an epoch for this rank, each time that it is gone through.

    Give the ``DataLoader`` as many workers as ``progress.share`` says, and ``collate_fn=list`` or
    one of your own that keeps the marks. Call ``progress.advance`` with the marks of what was used:
    then the next pass goes on behind that, in this process or after a kill, however far the
    workers had read ahead; and ``progress.next_epoch`` at an epoch's end.
    """

    def __init__(
        self,
        data: PackedData,
        progress: Progress,
        prepare: Callable[[LabelledEdit], Item],
    ) -> None:
        """Read ``data`` from where ``progress`` stands.

        Args:
            data: the data set.
            progress: which streams are this rank's, and how far they have come.
            prepare: makes an item of an edit, in the worker: decodes pictures, for example.

        Raises:
            InvalidInputError: the progress is in another data set.
        """
        super().__init__()
        self._data = data
        self._progress = progress
        self._prepare = prepare
        self._was_gone_through = False
        data.order(progress.state)

    def __iter__(self) -> Iterator[Sample[Item]]:
        """The samples of one worker's stream, or of this process's if there are no workers.

        Raises:
            InvalidInputError: the loader has another number of workers than the share says, or
                keeps them from one epoch to the next.
        """
        state, share = self._progress.state, self._progress.share
        info = get_worker_info()
        num_workers = 0 if info is None else info.num_workers
        if max(1, num_workers) != max(1, share.num_workers):
            raise InvalidInputError(
                f"the loader has {num_workers} workers, the share of the epoch {share.num_workers}"
            )
        if info is not None and self._was_gone_through:
            # Such a worker has a copy of its own of the progress, from before the first epoch.
            raise InvalidInputError(
                "persistent_workers=True: workers that are kept do not learn how far the epoch "
                "has come; leave it out"
            )
        self._was_gone_through = True
        streams = self._streams_in_turn()
        stream = streams[0 if info is None else info.id]
        for mark, edit in self._data.read_edits(state, stream):
            yield Sample(mark, self._prepare(edit))

    def _streams_in_turn(self) -> list[int]:
        """This rank's streams, the one first that was next when the state was kept.

        A loader takes from its workers in turn; so the samples come in the same order as if there
        had been no break.
        """
        state, streams = self._progress.state, self._progress.share.streams
        taken = state.legs[-1].taken
        order = self._data.order(state)
        unfinished = [stream for stream in streams if taken[stream] < order.span(stream)]
        first = min(unfinished, key=lambda stream: taken[stream], default=streams[0])
        turn = streams.index(first)
        return [*streams[turn:], *streams[:turn]]
