"""What keeps a server from answering, and which of it is worth another attempt."""

from enum import StrEnum

from spatialreward.errors import SpatialRewardError


class ServerFault(StrEnum):
    """Why a request has no answer."""

    RATE_LIMITED = "rate limited"
    SERVER_ERROR = "server error"
    TIMEOUT = "timeout"
    CONNECTION = "connection failed"
    """Refused, or cut off before the answer was complete."""
    MALFORMED_REPLY = "malformed reply"
    """The server's, not the model's: its body is no chat completion."""
    CONTENT_FILTER = "content filter"
    REQUEST_REFUSED = "request refused"
    """By the server, as one that it cannot carry out."""


SENT_AGAIN = frozenset(ServerFault) - {ServerFault.CONTENT_FILTER, ServerFault.REQUEST_REFUSED}
"""Faults after which the same request is sent again."""
UNANSWERED = SENT_AGAIN | {ServerFault.REQUEST_REFUSED}
"""Faults of requests that no model has looked at; all having them, the server is to blame."""


class ChatFault(Exception):
    """One question has no answer that can be used; the caller decides what becomes of it."""

    def __init__(self, fault: StrEnum, detail: str, retry_after_s: float | None = None) -> None:
        """Keep why.

        Args:
            fault: what is wrong.
            detail: what exactly, in words that help to mend it.
            retry_after_s: how long the server asks to be left alone.
        """
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail
        self.retry_after_s = retry_after_s


class ServerAway(SpatialRewardError):
    """So many questions in a row got no answer that there is no use in going on."""
