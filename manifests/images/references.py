"""Names of images, as ``docker pull`` takes them, taken apart."""

import re
from typing import NamedTuple, Self

from manifests.images.errors import ImageError

_DEFAULT_REGISTRY = "docker.io"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = re.compile(f"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Reference(NamedTuple):
    """Where an image is and which one of its repository it is."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a reference apart; a name without a registry is one of Docker Hub's.

        Raises:
            ImageError: it is no reference of an image, or names neither tag nor digest.
        """
        name, _, digest = text.partition("@")
        head, slash, rest = name.partition("/")
        if slash and (head == "localhost" or set(head) & set(".:")):
            registry, name = head, rest
        else:
            registry = _DEFAULT_REGISTRY
        repository, _, tag = name.partition(":")
        if registry == _DEFAULT_REGISTRY and "/" not in repository:
            repository = f"library/{repository}"
        right = (
            _NAME.fullmatch(repository)
            and (not tag or _TAG.fullmatch(tag))
            and (not digest or _DIGEST.fullmatch(digest))
            and (tag or digest)
        )
        if not right:
            raise ImageError(
                f"{text!r}: expected REPOSITORY:TAG or REPOSITORY@sha256:DIGEST of an image"
            )
        return cls(registry, repository, tag, digest)

    def pinned(self, digest: str) -> str:
        """The same repository by a digest, which no push can change."""
        return f"{self.registry}/{self.repository}@{digest}"
