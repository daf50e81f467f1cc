"""Which code a step is done by: a hash of the sources, unless the environment names the code."""

import functools
import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

CODE_VERSION = "SPATIALREWARD_CODE_VERSION"
"""Environment variable: a name for the code, such as an image's digest. Steps that code of the same
name has done count as done, whatever has changed in it."""
_LIBRARY = "spatialreward"


def code_version(package: str) -> str:
    """The name that the environment gives, or a hash of the library's and the package's sources.

    Args:
        package: of the step, such as ``components.reward_training``.
    """
    return os.environ.get(CODE_VERSION) or _hash_of_sources(package)


@functools.cache
def _hash_of_sources(package: str) -> str:
    """Hash of all modules by their names and bytes; the same wherever they are installed."""
    digest = hashlib.sha256()
    for name in (_LIBRARY, package):
        for folder in _folders(name):
            for path in sorted(folder.rglob("*.py")):
                content = path.read_bytes()
                said = f"{name}/{path.relative_to(folder).as_posix()} {len(content)}\n"
                digest.update(said.encode() + content)
    return digest.hexdigest()


def _folders(package: str) -> list[Path]:
    spec = find_spec(package)
    assert spec is not None, package
    return [Path(folder) for folder in spec.submodule_search_locations or ()]
