"""Why a request as a whole gets no judgements; each becomes one of the server's error codes."""

from spatialreward.errors import SpatialRewardError


class RequestFault(SpatialRewardError):
    """Base of the reasons to refuse a whole request."""


class InvalidRequest(RequestFault, ValueError):
    """The request breaks the contract; sent again it would break it again."""


class ServerBusy(RequestFault):
    """The request came at a bad time; the message says when to try again."""


class RequestCancelled(RequestFault):
    """Whoever asked has gone away."""
