"""References of what lies in the object store; free of its client.

An artifact is a prefix of the store with the files of one folder below it, each under its path, and
``artifact.json`` beside them: the manifest (``folder_manifest``) with path, size and SHA-256 of
each file. Its reference names the prefix and the SHA-256 of the manifest, so it pins every byte:

    s3://BUCKET/PREFIX#sha256=HEX

``ObjectStore.put_folder`` makes one: it sends the files that are not there yet, several at a time,
and the manifest last, so a reference always means a whole artifact. The prefix is named after the
content, so the next attempt finds the files that a killed upload has sent.
``ObjectStore.fetch_folder`` checks each file while it is written; the folder appears when all of
them are right, and a fetch that was killed is resumed.

A document, such as a report, is one object that is named after its own SHA-256.
"""

import hashlib
import re
from typing import Self

from pydantic import Field

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

MANIFEST_NAME = "artifact.json"
"""Of the object beside an artifact's files; none of them may have this name."""
_PLACE = r"s3://[a-z0-9][a-z0-9.-]{2,62}/[^#\n]*[^#\n/]"
_REFERENCE = re.compile(rf"(?P<uri>{_PLACE})/?#sha256=(?P<sha256>[0-9a-f]{{64}})")
_OLDER = re.compile(r"s3://[^#]+#sha256=[0-9a-f]{64}&size=\d+")


class _Ref(Record):
    uri: str = Field(pattern=f"^{_PLACE}$")
    """Without a slash at its end."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    def __str__(self) -> str:
        """``URI#sha256=HEX``, as steps pass it on."""
        return f"{self.uri}#sha256={self.sha256}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` wrote.

        Raises:
            InvalidInputError: the text is no reference, or one that an older version made.
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
    """A folder in the object store: a prefix, and what its manifest's bytes must hash to."""

    @property
    def manifest_uri(self) -> str:
        """Where the manifest is."""
        return f"{self.uri}/{MANIFEST_NAME}"


class DocumentRef(_Ref):
    """One object in the object store, and what its bytes must hash to."""

    @classmethod
    def of(cls, uri: str, content: bytes) -> Self:
        """The reference of a document of this content."""
        return cls(uri=uri, sha256=hashlib.sha256(content).hexdigest())


def required_object(text: str) -> str:
    """URI of the object that must exist for a reference of either kind to be usable.

    That is a folder's manifest, or a document itself, which is named after its checksum.

    Raises:
        InvalidInputError: the text is no reference, or one that an older version made.
    """
    ref = ArtifactRef.parse(text)
    is_document = ref.uri.rpartition("/")[2].partition(".")[0] == ref.sha256
    return ref.uri if is_document else ref.manifest_uri
