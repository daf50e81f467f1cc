"""References to packed data sets, and the data sets they open.

Edits keep their packed order, with one row group in memory at a time. Trainings read them by
number, in any order and from many processes: ``spatialreward.data.rows``.
"""

import fcntl
import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from spatialreward.artifacts import ArtifactRef
from spatialreward.data.edits import LabelledEdit, Ranking
from spatialreward.data.packing.manifest import FILE_NAME, read_manifest, verify
from spatialreward.data.packing.rankings import num_rankings_in, read_rankings
from spatialreward.data.packing.shards import Footer, read_edits, read_footer
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_file
from spatialreward.hub import DATA_SET, fetch_from_hub
from spatialreward.records import Record

_HUB = re.compile(r"hub:(?P<id>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)")
_FORMS = "expected a folder, s3://BUCKET/PREFIX#sha256=HEX or hub:OWNER/NAME@REVISION, a data set"
_DIGEST_LETTERS = 16
_RANKINGS = "rankings-*.parquet"


class HubId(Record):
    """A data set on the Hugging Face hub, at a revision."""

    id: str
    revision: str

    def __str__(self) -> str:
        """``hub:OWNER/NAME@REVISION``."""
        return f"hub:{self.id}@{self.revision}"


class DatasetRef(Record):
    """Location of a packed data set, with its checksum or revision if remote."""

    place: Path | ArtifactRef | HubId

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse one of three forms.

        A folder's path; an artifact that a step stored, ``s3://BUCKET/PREFIX#sha256=HEX``; or
        ``hub:OWNER/NAME@REVISION``.

        Raises:
            InvalidInputError: the text has none of these forms, or an older version made it.
        """
        if match := _HUB.fullmatch(text):
            return cls(place=HubId(id=match["id"], revision=match["revision"]))
        if text.startswith("s3://"):
            return cls(place=ArtifactRef.parse(text))
        if not text or "://" in text or text.startswith("hub:"):
            raise InvalidInputError(f"{text!r}: {_FORMS}")
        return cls(place=Path(text))

    def __str__(self) -> str:
        """The form that ``parse`` reads."""
        return str(self.place)

    @property
    def has_checksum(self) -> bool:
        """Whether the reference includes a checksum."""
        return isinstance(self.place, ArtifactRef)

    def open(self, cache: Path | None = None) -> "Dataset":
        """Download the data set if necessary, and verify its checksums.

        Args:
            cache: folder for data from the object store; processes may share it. Default:
                ``SPATIALREWARD_CACHE``, or ``spatialreward`` in the user's cache folder.

        Raises:
            InvalidInputError: there is no packed data set, or a shard is missing, damaged or
                differs from the manifest.
            StorageError: the object store fails, or its content differs.
            HubError: the hub does not deliver it.
        """
        match self.place:
            case Path():
                return Dataset(self.place)
            case ArtifactRef():
                return Dataset(_fetched(self.place, cache), name=self.place.uri)
            case HubId():
                return Dataset(_from_hub(self.place), name=str(self))


def _from_hub(place: HubId) -> Path:
    folder = fetch_from_hub(str(place), DATA_SET)
    if not (folder / FILE_NAME).is_file():
        raise InvalidInputError(
            f"data set {place}: has no {FILE_NAME}, so it is no packed data set; build one with "
            f'kind = "hub", id = "{place.id}" and revision = "{place.revision}" in [source]'
        )
    return folder


class Shard(NamedTuple):
    """One Parquet file of a data set."""

    path: Path
    name: str
    """Its name in errors."""
    footer: Footer
    checked: str | None
    """SHA-256 verified when the data set was opened; None without manifest."""

    @property
    def sha256(self) -> str:
        """SHA-256 of its bytes, which are read unless verified before."""
        return self.checked or digest_file(self.path)

    def edits(self, row_groups: Sequence[int], pictures: bool) -> Iterator[LabelledEdit]:
        """The edits of some row groups, with or without their pictures."""
        return read_edits(self.path, row_groups, name=self.name, pictures=pictures)


class RankingShard(NamedTuple):
    """One Parquet file of preferences."""

    path: Path
    name: str
    """Its name in errors."""
    num_rankings: int
    checked: str | None
    """As for ``Shard``."""

    @property
    def sha256(self) -> str:
        """SHA-256 of its bytes, which are read unless verified before."""
        return self.checked or digest_file(self.path)


class Dataset:
    """The labelled edits of a folder of packed shards, always in the same order.

    A folder with a manifest holds the manifest's shards, whose checksums are verified on opening.
    Without one, all Parquet files of the folder are its shards, by name. Shards of rankings,
    ``rankings-*.parquet``, lie beside those of the edits.
    """

    def __init__(self, folder: Path, *, name: str = "") -> None:
        """Read the footers of the shards in ``folder``; ``name`` identifies it in errors.

        Raises:
            InvalidInputError: there is no packed data set, or a shard is missing, damaged or
                differs from the manifest.
        """
        self.name = name or str(folder)
        self.shards = tuple(
            Shard(path, f"{self.name}/{path.name}", read_footer(path), checked)
            for path, checked in _shard_paths(folder, self.name).items()
        )
        """Its files, in order."""
        self.ranking_shards = tuple(
            RankingShard(path, f"{self.name}/{path.name}", num_rankings_in(path), checked)
            for path, checked in _ranking_paths(folder).items()
        )
        """Its files of preferences, in order."""

    def __str__(self) -> str:
        """Its name."""
        return self.name

    def __len__(self) -> int:
        """Number of edits, from the footers alone."""
        return sum(sum(shard.footer.row_groups) for shard in self.shards)

    def __iter__(self) -> Iterator[LabelledEdit]:
        """All edits, in order."""
        return self.edits()

    def edits(self, first: int = 0, *, pictures: bool = True) -> Iterator[LabelledEdit]:
        """The edits from number ``first`` on; skips earlier row groups.

        Without ``pictures``, empty files replace them.

        Raises:
            InvalidInputError: a shard is damaged, or a row is not an edit; names the file.
        """
        skipped = first
        for shard in self.shards:
            wanted: list[int] = []
            for number, rows in enumerate(shard.footer.row_groups):
                if wanted or skipped < rows:
                    wanted.append(number)
                else:
                    skipped -= rows
            if wanted:
                yield from itertools.islice(shard.edits(wanted, pictures), skipped, None)
                skipped = 0

    def endlessly(self, first: int = 0) -> Iterator[LabelledEdit]:
        """As ``edits``, repeated endlessly."""
        rounds = (self.edits() for _ in itertools.count())
        return itertools.chain(self.edits(first % len(self)), itertools.chain.from_iterable(rounds))

    def rankings(self, *, pictures: bool = True) -> Iterator[Ranking]:
        """All rankings, in order; without ``pictures``, empty files replace them.

        Raises:
            InvalidInputError: a shard is damaged, or a row is not a ranking; names the file.
        """
        for shard in self.ranking_shards:
            yield from read_rankings(shard.path, name=shard.name, pictures=pictures)

    @property
    def num_rankings(self) -> int:
        """Number of rankings, from the footers alone."""
        return sum(shard.num_rankings for shard in self.ranking_shards)

    @property
    def digest(self) -> str:
        """SHA-256 over the shards of edits; reads all of their bytes unless in the manifest."""
        return _digest(self.shards)

    @property
    def rankings_digest(self) -> str:
        """As ``digest``, over the shards of rankings."""
        return _digest(self.ranking_shards)

    def count(self, column: str) -> int:
        """Number of edits with a value in a flat or JSON column, such as ``truth``."""
        return sum(shard.footer.present.get(column, 0) for shard in self.shards)

    @property
    def num_labelled(self) -> int:
        """Number of edits with a label."""
        return self.count("annotation")


def _digest(shards: Sequence[Shard] | Sequence[RankingShard]) -> str:
    lines = (f"{shard.sha256}  {shard.path.name}\n" for shard in shards)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _ranking_paths(folder: Path) -> dict[Path, str | None]:
    if (folder / FILE_NAME).is_file():
        rankings = read_manifest(folder).rankings
        return {folder / shard.name: shard.sha256 for shard in rankings}
    return dict.fromkeys(sorted(folder.glob(_RANKINGS)))


def _shard_paths(folder: Path, name: str) -> dict[Path, str | None]:
    """The shards, each with its checksum if there is a manifest."""
    if (folder / FILE_NAME).is_file():
        return {folder / shard.name: shard.sha256 for shard in verify(folder, name).shards}
    paths = sorted(set(folder.glob("*.parquet")) - set(folder.glob(_RANKINGS)))
    if not paths:
        raise InvalidInputError(
            f"{name}: no data set here, expected {FILE_NAME} and *.parquet, as spatialreward data "
            "build writes them"
        )
    return dict.fromkeys(paths)


def _fetched(ref: ArtifactRef, cache: Path | None) -> Path:
    """An artifact, cached by checksum; the first of several processes downloads it."""
    from spatialreward.storage import ObjectStore

    folder = (cache or default_cache()) / ref.sha256[:_DIGEST_LETTERS]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            ObjectStore.from_environment().fetch_folder(ref, folder)
    return folder


def default_cache() -> Path:
    """Default folder for data sets on this machine."""
    given = os.environ.get("SPATIALREWARD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(given) / "data"
    return (Path(base) if base else Path.home() / ".cache") / "spatialreward" / "data"
