"""The served judge, as seen by its callers; free of torch.

Settings and errors are there without ``tritonclient`` too, for programs that take any judge.
"""

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from spatialreward.client.asynchronous import AsyncTritonJudge
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


def __getattr__(name: str) -> object:
    match name:
        case "AsyncTritonJudge":
            from spatialreward.client.asynchronous import AsyncTritonJudge

            return AsyncTritonJudge
        case "TritonJudge":
            from spatialreward.client.triton import TritonJudge

            return TritonJudge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
