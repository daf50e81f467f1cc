"""Why a request as a whole gets no judgements; each becomes one of the server's error codes."""

from spatialreward.errors import SpatialRewardError

ENGINE_FAILED = "the judge failed on this edit"
"""Reason of a judgement that failed because its engine broke down, not because of the edit."""
STOPPING = "the server is stopping; retry after 1.0 s"
"""Why a request is refused once the server has been told to stop."""


class RequestFault(SpatialRewardError):
    """Base of the reasons to refuse a whole request."""


class InvalidRequest(RequestFault, ValueError):
    """The request breaks the contract; sent again it would break it again."""


class ServerBusy(RequestFault):
    """The request came at a bad time; the message says when to try again."""


class OutOfMemory(ServerBusy):
    """The request's pictures do not fit beside those that wait already."""


class ServerFailed(RequestFault):
    """The server broke down over this request; its log says why."""


class RequestCancelled(RequestFault):
    """Whoever asked has gone away."""
