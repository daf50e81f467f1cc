"""The served judge, as seen from whoever asks it; free of torch."""

from spatialreward.client.asynchronous import AsyncTritonJudge
from spatialreward.client.config import ClientConfig
from spatialreward.client.errors import (
    DeadlineExceeded,
    ModelNotServed,
    RequestRejected,
    ServerBusy,
    ServerUnavailable,
    ServingError,
    WrongAddress,
    WrongAnswer,
)
from spatialreward.client.triton import TritonJudge

__all__ = [
    "AsyncTritonJudge",
    "ClientConfig",
    "DeadlineExceeded",
    "ModelNotServed",
    "RequestRejected",
    "ServerBusy",
    "ServerUnavailable",
    "ServingError",
    "TritonJudge",
    "WrongAddress",
    "WrongAnswer",
]
