"""Lock files: which digest an image's name stood for when it was resolved or pushed."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from manifests.images.catalogue import ROOT
from manifests.images.errors import ImageError
from manifests.images.references import Reference

BASES_LOCK = Path(__file__).with_name("bases.lock")
IMAGES_LOCK = ROOT / "images.lock"


def read_lock(path: Path) -> dict[str, str]:
    """References with digests, by name; empty where there is no such file.

    Raises:
        ImageError: the file is no lock, or an entry has no digest.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))["images"]
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise ImageError(f"{path}: expected TOML with a table [images]: {error}") from error
    for name, pinned in found.items():
        if not Reference.parse(pinned).digest:
            raise ImageError(f"{path}: {name}: expected REPOSITORY@sha256:..., got {pinned!r}")
    return found


def write_lock(path: Path, entries: Mapping[str, str], comment: str) -> None:
    """Write a lock in one step, sorted, so that it changes only where an image did."""
    lines = [f"# {comment}", "[images]"]
    lines += [f"{json.dumps(name)} = {json.dumps(entries[name])}" for name in sorted(entries)]
    unfinished = path.with_name(path.name + ".partial")
    unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    unfinished.rename(path)
