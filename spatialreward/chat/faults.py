"""What keeps a server from answering."""

from enum import StrEnum

from spatialreward.errors import SpatialRewardError


class ServerFault(StrEnum):
    """Why a request has no answer."""

    RATE_LIMITED = "rate limited"
    SERVER_ERROR = "server error"
    TIMEOUT = "timeout"
    CONNECTION = "connection failed"
    """Refused, or cut off during the answer."""
    MALFORMED_REPLY = "malformed reply"
    """The server's, not the model's: its body is not a chat completion."""
    CONTENT_FILTER = "content filter"
    REQUEST_REFUSED = "request refused"
    """Rejected by the server as impossible."""


UNANSWERED = frozenset(ServerFault) - {ServerFault.CONTENT_FILTER}
"""Faults of requests that no model has looked at; all having them, the server is to blame."""


class ChatFault(Exception):
    """A question without a usable answer; the caller decides what becomes of it.

    Attributes:
        fault: what is wrong.
        detail: what exactly, in words that help to mend it.
        retries: how often the request was sent after the first time.
    """

    def __init__(self, fault: StrEnum, detail: str, retries: int = 0) -> None:
        """Keep all three."""
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail
        self.retries = retries


class ServerAway(SpatialRewardError):
    """Too many consecutive questions got no answer, so the run stops."""
