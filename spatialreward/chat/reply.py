"""A server's reply."""

from spatialreward.records import Record


class Reply(Record):
    """A model's reply, reduced to the fields used here."""

    text: str | None
    refusal: str | None = None
    finish_reason: str | None = None
    model: str = ""
    """The server's name for the model that answered."""

    @property
    def words(self) -> str:
        """The text, or a refusal."""
        return self.text or self.refusal or ""
