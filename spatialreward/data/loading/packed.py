"""A packed data set that is ready to be read: its manifest and the sizes of its shards agree."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.loading.folders import LocalFolder, ShardFolder, check_size
from spatialreward.data.loading.order import EpochOrder, Numbers
from spatialreward.data.loading.row_groups import Decode, RowReader
from spatialreward.data.loading.state import LoaderState, LoadingConfig, Mark
from spatialreward.data.packing.manifest import Manifest, parse_manifest
from spatialreward.data.packing.schema import edits_of
from spatialreward.errors import InvalidInputError

Item = TypeVar("Item")


class Sample(NamedTuple, Generic[Item]):
    """One row, and where it stands."""

    mark: Mark
    item: Item


@dataclass(frozen=True)
class PackedData:
    """A packed data set. It can be pickled, and holds no connection."""

    folder: ShardFolder
    manifest: Manifest

    @property
    def group_sizes(self) -> list[int]:
        """Rows of each row group, through all shards."""
        return [size for shard in self.manifest.shards for size in shard.row_groups]

    def begin(self, config: LoadingConfig) -> LoaderState:
        """The state from which a new training starts."""
        return LoaderState(data=self.manifest.digest, config=config)

    def order(self, state: LoaderState) -> EpochOrder:
        """The order in which ``state`` goes on.

        Raises:
            InvalidInputError: the state is of another data set, does not say how many streams there
                are (see ``Progress`` and ``for_streams``), or there are more of them than rows and
                the remainder is dropped, so that nothing is left.
        """
        if not state.legs:
            raise InvalidInputError(
                f"{self.folder}: the state does not say how many streams read the epoch"
            )
        if state.data != self.manifest.digest:
            raise InvalidInputError(
                f"{self.folder}: the state to go on from is of another data set, with digest "
                f"{state.data[:16]}; this one has {self.manifest.digest[:16]}"
            )
        order = EpochOrder.of(state, self.group_sizes)
        num_streams, num_edits = state.legs[-1].num_streams, self.manifest.num_edits
        if state.config.drop_remainder and num_streams > num_edits:
            raise InvalidInputError(
                f"{self.folder}: {num_edits} edits for {num_streams} streams, and drop_remainder "
                "leaves out those that not all of them get"
            )
        return order

    def read(self, state: LoaderState, stream: int, decode: Decode[Item]) -> Iterator[Sample[Item]]:
        """The rest of one stream of an epoch, in order; ``state`` knows how far it has come.

        Two buffers are in memory at most: while the rows of one are handed out, a thread reads
        the next.

        Raises:
            InvalidInputError: the state is of another data set, a shard is damaged or is not the
                one in the manifest, or a row is no edit.
            StorageError: the object store does not answer.
        """
        order = self.order(state)
        position = state.legs[-1].taken[stream]
        reader = RowReader(self.folder.connect(), str(self.folder), self.manifest.shards)
        reading = partial(reader.read, decode=decode)
        for item in _read_ahead(reading, order.buffers(stream, position), reader.close):
            yield Sample(Mark(state.epoch, stream, position), item)
            position += 1

    def read_edits(self, state: LoaderState, stream: int) -> Iterator[Sample[LabelledEdit]]:
        """As ``read``, of the edits themselves."""
        return self.read(state, stream, edits_of)


def open_packed(location: str | Path | ShardFolder) -> PackedData:
    """Look at a packed data set in a folder or under an S3 prefix, ``s3://bucket/prefix``.

    The store is the one that the environment names (``ObjectStore.from_environment``); for another
    one hand in an ``S3Folder``. Checksums are not looked at: see ``manifest.verify``.

    Raises:
        InvalidInputError: there is no manifest, or a shard is missing or has another size.
        StorageError: the object store does not answer.
    """
    folder = _folder(location)
    manifest = parse_manifest(folder.read_manifest(), str(folder))
    sizes = folder.sizes()
    for shard in manifest.files:
        if shard.name not in sizes:
            raise InvalidInputError(f"{folder}/{shard.name}: shard is missing")
        check_size(f"{folder}/{shard.name}", sizes[shard.name], shard)
    return PackedData(folder, manifest)


def _folder(location: str | Path | ShardFolder) -> ShardFolder:
    if isinstance(location, str) and location.startswith("s3://"):
        # Only those who read from S3 need its client.
        from spatialreward.data.loading.s3 import S3Folder

        return S3Folder(location)
    return LocalFolder(Path(location)) if isinstance(location, str | Path) else location


def _read_ahead(
    read: Callable[[Numbers], Sequence[Item]], buffers: Iterator[Numbers], close: Callable[[], None]
) -> Iterator[Item]:
    """The items of all buffers; each buffer is read while the one before it is handed out."""
    with ThreadPoolExecutor(1, thread_name_prefix="loader") as pool:

        def begin() -> Future[Sequence[Item]] | None:
            rows = next(buffers, None)
            return None if rows is None else pool.submit(read, rows)

        try:
            ahead = begin()
            while ahead is not None:
                items = ahead.result()
                ahead = begin()
                yield from items
        finally:
            close()
