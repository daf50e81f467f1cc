"""Runs inside a container and fails, with the reason, where its content is wrong.

Arguments: the file with pinned versions, then modules to import. It imports no module of ours.
"""

import importlib
import importlib.metadata
import os
import re
import shutil
import sys
from pathlib import Path

_COMPILERS = ("as", "c++", "cargo", "cc", "clang", "cpp", "g++", "gcc", "go", "gfortran", "ld")
_COMPILERS += ("make", "nvcc", "rustc", "tcc")
# Packages of pip itself, ours, and those that torch pins by its own metadata.
_UNPINNED = re.compile(r"pip|setuptools|wheel|spatialreward|nvidia-.*|triton")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def unpinned(constraints: Path) -> list[str]:
    """Installed packages that are not of the pinned version."""
    lines = [line for line in constraints.read_text(encoding="utf-8").splitlines() if "==" in line]
    pins = {_normal(line.split("==")[0]): line.split("==")[1] for line in lines}
    found = []
    for package in importlib.metadata.distributions():
        name, version = package.metadata["Name"], package.version.partition("+")[0]
        if not _UNPINNED.fullmatch(_normal(name)) and pins.get(_normal(name)) != version:
            found.append(f"{name}=={package.version}")
    return sorted(found)


for module in sys.argv[2:]:
    importlib.import_module(module)
wrong = [f"unpinned {package}" for package in unpinned(Path(sys.argv[1]))]
wrong += [f"compiler {name}" for name in _COMPILERS if shutil.which(name)]
if (user := f"{os.getuid()}:{os.getgid()}") != "10001:10001":
    wrong.append(f"user {user}")
wrong += [f"read-only {folder}" for folder in ("/tmp", "/work") if not os.access(folder, os.W_OK)]
if wrong:
    sys.exit(f"{' '.join(sys.argv[2:])}: {', '.join(wrong)}")
