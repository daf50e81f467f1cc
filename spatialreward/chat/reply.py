"""What a server answered."""

from spatialreward.records import Record


class Reply(Record):
    """What a model answered, as far as it matters here."""

    text: str | None
    refusal: str | None = None
    finish_reason: str | None = None
    model: str = ""
    """What the server calls the model that answered."""

    @property
    def words(self) -> str:
        """What was written, a refusal too."""
        return self.text or self.refusal or ""
