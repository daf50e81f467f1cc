"""Runs inside a container and says as JSON what it is like there; nothing of ours is imported.

Arguments: the file with pinned versions, then modules to import.
"""

import importlib
import importlib.metadata
import json
import os
import re
import shutil
import sys
from pathlib import Path

_COMPILERS = ("as", "c++", "cargo", "cc", "clang", "cpp", "g++", "gcc", "go", "gfortran", "ld")
_COMPILERS += ("make", "nvcc", "rustc", "tcc")
# What pip put there itself, what is ours, and what torch pins by its own metadata.
_UNPINNED = re.compile(r"pip|setuptools|wheel|spatialreward|nvidia[-_].*|triton")
_READ_ONLY = ("/app", "/etc", "/opt/venv", "/usr/local", "/var/lib")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _unpinned(constraints: str) -> list[str]:
    """Installed packages that are not of the pinned version."""
    lines = Path(constraints).read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    pins = {_normal(name): version for name, version in pins.items()}
    found = []
    for package in importlib.metadata.distributions():
        name, version = package.metadata["Name"], package.version.partition("+")[0]
        if not _UNPINNED.fullmatch(_normal(name)) and pins.get(_normal(name)) != version:
            found.append(f"{name}=={package.version}")
    return sorted(found)


def _writable(folder: str) -> bool:
    try:
        Path(folder, ".probe").touch()
    except OSError:
        return False
    return True


def main(constraints: str, *modules: str) -> None:
    """Print what was found."""
    for module in modules:
        importlib.import_module(module)
    found = {
        "user": f"{os.getuid()}:{os.getgid()}",
        "compilers": [name for name in _COMPILERS if shutil.which(name)],
        "writable": [folder for folder in _READ_ONLY if _writable(folder)],
        "not writable": [folder for folder in ("/tmp", "/work") if not _writable(folder)],
        "unpinned": _unpinned(constraints),
    }
    sys.stdout.write(json.dumps(found) + "\n")


main(*sys.argv[1:])
