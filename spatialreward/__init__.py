"""SpatialReward: a judge of image edits that says where an edit happened before it scores it.

The names below are what other programs use; each is imported when it is first asked for, so that
``import spatialreward`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatialreward.client.asynchronous import AsyncTritonJudge
    from spatialreward.client.config import ClientConfig
    from spatialreward.client.errors import (
        DeadlineExceeded,
        ModelNotServed,
        RequestRejected,
        ServerBusy,
        ServerUnavailable,
        ServingError,
        WrongAnswer,
    )
    from spatialreward.client.triton import TritonJudge
    from spatialreward.edits import Edit, EditTask
    from spatialreward.errors import (
        Failure,
        InvalidInputError,
        JudgementError,
        SpatialRewardError,
    )
    from spatialreward.images import load_image
    from spatialreward.judges.interface import Judging
    from spatialreward.judges.load import load_judge
    from spatialreward.ops.tracking import TrackingError
    from spatialreward.records import (
        AnswerForm,
        EditRegion,
        JudgeIdentity,
        Judgement,
        JudgementStatus,
        JudgingOptions,
        Mending,
        ScoreKind,
        Scores,
        Streams,
    )
    from spatialreward.visuals.overlay import draw_overlay
    from spatialreward.visuals.regions import pixel_box

_HOMES = {
    "spatialreward.client.asynchronous": ("AsyncTritonJudge",),
    "spatialreward.client.config": ("ClientConfig",),
    "spatialreward.client.errors": (
        "DeadlineExceeded",
        "ModelNotServed",
        "RequestRejected",
        "ServerBusy",
        "ServerUnavailable",
        "ServingError",
        "WrongAnswer",
    ),
    "spatialreward.client.triton": ("TritonJudge",),
    "spatialreward.edits": ("Edit", "EditTask"),
    "spatialreward.errors": (
        "Failure",
        "InvalidInputError",
        "JudgementError",
        "SpatialRewardError",
    ),
    "spatialreward.images": ("load_image",),
    "spatialreward.judges.interface": ("Judging",),
    "spatialreward.judges.load": ("load_judge",),
    "spatialreward.records": (
        "AnswerForm",
        "EditRegion",
        "JudgeIdentity",
        "Judgement",
        "JudgementStatus",
        "JudgingOptions",
        "Mending",
        "ScoreKind",
        "Scores",
        "Streams",
    ),
    "spatialreward.ops.tracking": ("TrackingError",),
    "spatialreward.visuals.overlay": ("draw_overlay",),
    "spatialreward.visuals.regions": ("pixel_box",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AnswerForm",
    "AsyncTritonJudge",
    "ClientConfig",
    "DeadlineExceeded",
    "Edit",
    "EditRegion",
    "EditTask",
    "Failure",
    "InvalidInputError",
    "JudgeIdentity",
    "Judgement",
    "JudgementError",
    "JudgementStatus",
    "Judging",
    "JudgingOptions",
    "Mending",
    "ModelNotServed",
    "RequestRejected",
    "ScoreKind",
    "Scores",
    "ServerBusy",
    "ServerUnavailable",
    "ServingError",
    "SpatialRewardError",
    "Streams",
    "TrackingError",
    "TritonJudge",
    "WrongAnswer",
    "draw_overlay",
    "load_image",
    "load_judge",
    "pixel_box",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
