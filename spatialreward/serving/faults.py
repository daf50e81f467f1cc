"""Faults of a whole request; each maps to one of the server's error codes."""

from spatialreward.errors import SpatialRewardError

ENGINE_FAILED = "the judge failed on this edit"
"""Reason of a judgement that failed because of the engine, not the edit."""
STOPPING = "the server is stopping; retry after 1.0 s"
"""Reason for refusing requests after the server received its stop signal."""


class RequestFault(SpatialRewardError):
    """Base of the faults of a whole request."""


class InvalidRequest(RequestFault, ValueError):
    """The request breaks the contract; a retry would fail too."""


class ServerBusy(RequestFault):
    """The request came at a busy time; the message says when to retry."""


class OutOfMemory(ServerBusy):
    """The request's pictures do not fit beside the waiting ones."""


class ServerFailed(RequestFault):
    """The server failed on this request; its log gives the reason."""


class RequestCancelled(RequestFault):
    """The client has disconnected."""
