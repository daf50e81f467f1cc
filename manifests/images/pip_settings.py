"""Hands this machine's pip settings to a build without writing any of them into an image.

A build sees them as secrets: a pip configuration and, if there is one, the bundle of certificates.
Folders with packages that the settings name are mounted where they are. Without settings a build
does what pip does by itself.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from manifests.images.errors import ImageError

_INDEXES = ("index-url", "extra-index-url")
_TAKEN = (*_INDEXES, "find-links", "trusted-host", "proxy", "no-index")
_CERTIFICATES_IN_BUILD = "/run/secrets/ca.crt"


class PipSettings(NamedTuple):
    """What a build needs to install packages as this machine does."""

    secrets: dict[str, Path]
    """Files by the names under which a Dockerfile mounts them."""
    folders: tuple[Path, ...]
    """Folders with packages, to be mounted read-only."""


@contextmanager
def pip_settings() -> Iterator[PipSettings]:
    """This machine's settings, in files that are gone after the ``with`` block.

    Raises:
        ImageError: pip does not say what its settings are.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ImageError(f"pip config list: {answer.stderr.strip() or answer.returncode}")
    given = parse_settings(answer.stdout)
    with TemporaryDirectory(prefix="pip-settings-") as folder:
        secrets = {}
        if text := configuration(given):
            secrets["pip.conf"] = Path(folder) / "pip.conf"
            secrets["pip.conf"].write_text(text, encoding="utf-8")
        if certificates := given.get("cert"):
            secrets["ca.crt"] = Path(certificates)
        yield PipSettings(secrets, package_folders(given))


def parse_settings(listing: str) -> dict[str, str]:
    """Settings of the output of ``pip config list``; the environment's go before the files'."""
    scopes: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        scope, _, key = name.rpartition(".")
        if scope in scopes:
            scopes[scope][key] = str(ast.literal_eval(value))
    return scopes["global"] | scopes["install"] | scopes[":env:"]


def configuration(given: Mapping[str, str]) -> str:
    """A pip configuration for a build; empty where there is nothing to say."""
    lines = [f"{key} = {' '.join(given[key].split())}" for key in _TAKEN if given.get(key)]
    if given.get("cert"):
        lines.append(f"cert = {_CERTIFICATES_IN_BUILD}")
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def package_folders(given: Mapping[str, str]) -> tuple[Path, ...]:
    """Folders on this machine that the settings name.

    Of an index it is the folder around it: its pages point to files beside it.
    """
    folders = set()
    for key in (*_INDEXES, "find-links"):
        for place in given.get(key, "").split():
            path = _local_path(place)
            if path is not None and path.is_dir():
                folders.add(path.parent if key in _INDEXES else path)
    return tuple(sorted(folders))


def _local_path(place: str) -> Path | None:
    if place.startswith("/"):
        return Path(place)
    parts = urlsplit(place)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None
