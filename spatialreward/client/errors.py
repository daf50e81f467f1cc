"""What can go wrong between a client and the served judge. Each message names who was asked."""

from spatialreward.errors import SpatialRewardError


class ServingError(SpatialRewardError, RuntimeError):
    """The served judge cannot be asked, or its answer cannot be used."""


class ServerUnavailable(ServingError):
    """No server answers; the message names every address with its last reason."""


class WrongAddress(ServerUnavailable):
    """An address answers, but not gRPC; asking again would not help."""


class ServerBusy(ServingError):
    """Servers answer, but none would take the request before the attempts were used up."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        """Keep the hint.

        Args:
            message: who is busy, and what they said.
            retry_after_s: how long the servers ask to be left alone; 0 where they did not say.
        """
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelNotServed(ServingError):
    """Servers answer, but none serves the model."""


class DeadlineExceeded(ServingError):
    """A request took longer than ``timeout_s``, or a call longer than ``deadline_s``."""


class RequestRejected(ServingError):
    """The server says that the request is wrong; asking again would not help."""


class WrongAnswer(ServingError):
    """The answer breaks the contract: a tensor is missing, the count or a reward does not fit."""
