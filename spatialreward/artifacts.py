"""References of what lies in the object store; free of its client."""

import hashlib
import re
from typing import Self

from pydantic import Field

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

_REFERENCE = re.compile(r"(?P<uri>s3://[^#]+)#sha256=(?P<sha256>[0-9a-f]{64})&size=(?P<size>\d+)")


class ArtifactRef(Record):
    """A folder or document in the object store, and what its bytes must hash to."""

    uri: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{2,62}/.+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)

    def __str__(self) -> str:
        """``s3://bucket/key#sha256=HEX&size=BYTES``, as steps pass it on."""
        return f"{self.uri}#sha256={self.sha256}&size={self.size_bytes}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` wrote.

        Raises:
            InvalidInputError: the text is no reference.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise InvalidInputError(
                f"{text!r}: expected s3://BUCKET/KEY#sha256=HEX&size=BYTES, an artifact reference"
            )
        return cls(uri=match["uri"], sha256=match["sha256"], size_bytes=int(match["size"]))

    @classmethod
    def of(cls, uri: str, content: bytes) -> Self:
        """The reference of a document of this content."""
        return cls(uri=uri, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
