"""Finds the pipeline that is installed beside the library, and has it compile a profile.

The library imports no pipeline: whoever has one names a function under ``GROUP`` in its package's
entry points, as this repository does for ``pipelines.submission``.
"""

import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow.package import Package, read_package

GROUP = "spatialreward.pipelines"
NOTHING: Mapping[str, str] = MappingProxyType({})
"""No references."""
_WAY_ROUND = (
    "install the checkout with `pip install -e '.[kubeflow,pipelines]'`, or compile it elsewhere "
    "and give --package FILE.yaml"
)


class Compile(Protocol):
    """Writes a profile's pipeline as YAML."""

    def __call__(
        self,
        profile: str,
        overrides: Sequence[str],
        out: Path,
        *,
        pipeline: str,
        given: Mapping[str, str],
        images_lock: Path | None,
        registry: str,
    ) -> None:
        """Write ``out``.

        Args:
            profile: its name, or a file.
            overrides: ``KEY=VALUE``, what is to be different from it.
            out: the file to write.
            pipeline: which of a profile's pipelines.
            given: references that its runs are to be given as parameters; empty ones are not.
            images_lock: says by which digest each image is pulled; None for none.
            registry: where images are pulled from that have no digest; empty for as they are named.
        """
        ...


def compile_profile(
    profile: str,
    overrides: Sequence[str],
    images_lock: Path | None,
    registry: str,
    *,
    pipeline: str = "full",
    given: Mapping[str, str] = NOTHING,
) -> Package:
    """Compile a profile in this process.

    Raises:
        InvalidInputError: no pipeline is installed, it cannot be imported, the profile is wrong, or
            it cannot run.
    """
    compiles = _load(_only_entry())
    with tempfile.TemporaryDirectory(prefix="spatialreward-") as folder:
        out = Path(folder) / "pipeline.yaml"
        compiles(
            profile,
            overrides,
            out,
            pipeline=pipeline,
            given=given,
            images_lock=images_lock,
            registry=registry,
        )
        return read_package(out)


def _only_entry() -> EntryPoint:
    # Not metadata.entry_points(): of two notes of one package it reads the first alone, and a
    # checkout may still hold one from before it had this entry.
    found = {
        one.value: one
        for distribution in distributions()
        for one in distribution.entry_points.select(group=GROUP)
    }
    if not found:
        raise InvalidInputError(f"no pipeline is installed beside the library: {_WAY_ROUND}")
    if len(found) > 1:
        raise InvalidInputError(
            f"more than one pipeline is installed ({', '.join(sorted(found))}): give --package"
        )
    return next(iter(found.values()))


def _load(entry: EntryPoint) -> Compile:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(f"pipeline {entry.value}: {error}; {_WAY_ROUND}") from error
