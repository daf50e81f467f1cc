"""The versions of a judge at one server: what is on disk there, beside what the registry says."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime

from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployment.repository import ModelFolder, Version
from spatialreward.ops.promotion import tags
from spatialreward.ops.registry import Registered, aliases_of, versions_of
from spatialreward.records import Record

SERVED, KEPT = "served", "kept"


class VersionRow(Record):
    """One version, at the server or in the registry."""

    version: int
    """In the registry, and on the server."""
    here: str
    """``served``, ``kept`` on disk, or empty."""
    deployed_at: AwareDatetime | None
    sha256: str
    """Of the checkpoint; empty where the registry points at no artifact."""
    source: str
    """``models:/NAME/VERSION``, or where else it came from."""
    aliases: tuple[str, ...]
    """In the registry, such as ``champion``."""
    serving: str
    """What a deployer says in the registry: ``served``, ``retired`` or ``failed: ...``."""


class Overview(Record):
    """All versions of one judge."""

    served: int | None
    """What the server loads; None: nothing was deployed."""
    versions: tuple[VersionRow, ...]
    """The newest first."""

    @classmethod
    def read(cls, repository: Path, model: str, registered: str | None) -> Self:
        """Look at a repository, and at the registry.

        Args:
            repository: Triton's model repository, as this process sees it.
            model: the model's name on the server.
            registered: the registered model; None: leave the registry out.

        Raises:
            InvalidInputError: there is no such repository, or a file in it is damaged.
            TrackingError: the registry does not answer.
        """
        folder = ModelFolder(repository, model)
        known: dict[str, Registered] = {}
        aliases: dict[str, list[str]] = {}
        if registered is not None:
            known = {one.model.uri: one for one in versions_of(registered)}
            # Without versions there may be no such model to ask about.
            for alias, version in (aliases_of(registered) if known else {}).items():
                aliases.setdefault(version.uri, []).append(alias)
        served, on_disk = folder.served(), {one.source: one for one in folder.versions().values()}
        rows = [
            _row(source, on_disk.get(source), known.get(source), served, aliases.get(source, ()))
            for source in known | on_disk
        ]
        rows.sort(key=lambda row: (row.version, row.here), reverse=True)
        return cls(served=served, versions=tuple(rows))


def _row(
    source: str,
    here: Version | None,
    known: Registered | None,
    served: int | None,
    aliases: Iterable[str],
) -> VersionRow:
    said: Mapping[str, str] = known.tags if known else {}
    return VersionRow(
        version=here.version if here else known.model.version,
        here="" if here is None else SERVED if here.version == served else KEPT,
        deployed_at=here.deployed_at if here else None,
        sha256=here.sha256 if here else _checksum(known),
        source=source,
        aliases=tuple(sorted(aliases)),
        serving=" ".join(said.get(tags.SERVING, "").split()),
    )


def _checksum(known: Registered) -> str:
    try:
        return known.artifact.sha256
    except InvalidInputError:
        return ""
