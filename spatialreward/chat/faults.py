"""Faults of chat requests, and which of them are worth a retry."""

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


SENT_AGAIN = frozenset(ServerFault) - {ServerFault.CONTENT_FILTER, ServerFault.REQUEST_REFUSED}
"""Faults after which the same request is retried."""
UNANSWERED = SENT_AGAIN | {ServerFault.REQUEST_REFUSED}
"""Faults of requests that reached no model; if all requests have them, the server is at fault."""


class ChatFault(Exception):
    """A question has no usable answer; the caller decides how to proceed."""

    def __init__(self, fault: StrEnum, detail: str, retry_after_s: float | None = None) -> None:
        """Store the fault.

        Args:
            fault: its kind.
            detail: specifics that help to fix it.
            retry_after_s: the server's requested wait.
        """
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail
        self.retry_after_s = retry_after_s


class ServerAway(SpatialRewardError):
    """Too many consecutive questions got no answer, so the run stops."""
