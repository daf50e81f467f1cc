"""References to artifacts in the object store; free of its client.

An artifact is a prefix of the store with the files of one folder below it, each under its path, and
``artifact.json`` beside them: the manifest (``folder_manifest``) with path, size and SHA-256 of
each file. Its reference names the prefix and the SHA-256 of the manifest, so it pins every byte:

    s3://BUCKET/PREFIX#sha256=HEX

``ObjectStore.put_folder`` makes one: it uploads the missing files, several at a time, and the
manifest last, so a reference always means a complete artifact. The prefix is named after the
content, so a retry skips the files that a killed upload has stored.
``ObjectStore.fetch_folder`` verifies each file while writing it; the folder appears once all of
them are verified, and a killed fetch resumes.

A document, such as a report, is one object named after its own SHA-256.
"""

import hashlib
import re
from typing import Self

from pydantic import Field

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

MANIFEST_NAME = "artifact.json"
"""Name of the manifest's object; reserved, so no file of an artifact may have it."""
_PLACE = r"s3://[a-z0-9][a-z0-9.-]{2,62}/[^#\n]*[^#\n/]"
_REFERENCE = re.compile(rf"(?P<uri>{_PLACE})/?#sha256=(?P<sha256>[0-9a-f]{{64}})")
_OLDER = re.compile(r"s3://[^#]+#sha256=[0-9a-f]{64}&size=\d+")


class _Ref(Record):
    uri: str = Field(pattern=f"^{_PLACE}$")
    """Without a trailing slash."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    def __str__(self) -> str:
        """``URI#sha256=HEX``, the form that steps exchange."""
        return f"{self.uri}#sha256={self.sha256}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the form that ``str`` writes.

        Raises:
            InvalidInputError: the text is not a reference, or an older version made it.
        """
        if _OLDER.fullmatch(text):
            raise InvalidInputError(
                f"{text!r}: an older version made this reference; run the step again"
            )
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise InvalidInputError(
                f"{text!r}: expected s3://BUCKET/PREFIX#sha256=HEX, an artifact reference"
            )
        return cls(uri=match["uri"], sha256=match["sha256"])


class ArtifactRef(_Ref):
    """A folder in the object store: a prefix, and the SHA-256 of its manifest."""

    @property
    def manifest_uri(self) -> str:
        """URI of the manifest."""
        return f"{self.uri}/{MANIFEST_NAME}"


class DocumentRef(_Ref):
    """One object in the object store, and the SHA-256 of its content."""

    @classmethod
    def of(cls, uri: str, content: bytes) -> Self:
        """The reference of a document with this content."""
        return cls(uri=uri, sha256=hashlib.sha256(content).hexdigest())


def required_object(text: str) -> str:
    """URI of the object that must exist for a reference of either kind to be usable.

    For a folder: its manifest; for a document: the object, which is named after its checksum.

    Raises:
        InvalidInputError: the text is not a reference, or an older version made it.
    """
    ref = ArtifactRef.parse(text)
    is_document = ref.uri.rpartition("/")[2].partition(".")[0] == ref.sha256
    return ref.uri if is_document else ref.manifest_uri
