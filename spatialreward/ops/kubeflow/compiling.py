"""Finds the pipeline that is installed beside the library, and lets it compile a profile.

The library imports no pipeline: a package names a function under ``GROUP`` in its entry points, as
this repository does for ``pipelines.submission``.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow.package import Package, read_package

GROUP = "spatialreward.pipelines"
_WAY_ROUND = (
    "install the checkout with `pip install -e '.[kubeflow,pipelines]'`, or compile it elsewhere "
    "and give --package FILE.yaml"
)


def compile_profile(
    profile: str,
    overrides: Sequence[str],
    images_lock: Path | None,
    registry: str,
    *,
    pipeline: str = "full",
    given: Mapping[str, str] | None = None,
) -> Package:
    """Compile a profile in this process.

    Args:
        profile: its name, or a file.
        overrides: ``KEY=VALUE``, changes of it.
        images_lock: file with the digest of each image; None for none.
        registry: where images without a digest are pulled from; empty for their names as they are.
        pipeline: which of a profile's pipelines.
        given: references that its runs get as parameters; empty ones are not.

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
            given=given or {},
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


def _load(entry: EntryPoint) -> Callable[..., None]:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(f"pipeline {entry.value}: {error}; {_WAY_ROUND}") from error
