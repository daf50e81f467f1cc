"""The errors a caller can act on. Each message names the file, id or field that is at fault."""


class SpatialRewardError(Exception):
    """Base of every error this library raises on purpose."""


class InvalidInputError(SpatialRewardError, ValueError):
    """What the caller handed in cannot be used: a picture, an instruction, a configuration key."""


class JudgementError(SpatialRewardError, ValueError):
    """A judge's answer is not a judgement; ``str(error)`` is the reason a caller may log."""


def is_final(error: BaseException) -> bool:
    """Whether doing the same again cannot help: what was handed in is at fault, not the world."""
    return isinstance(error, SpatialRewardError) and isinstance(error, ValueError)
