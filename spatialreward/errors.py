"""The errors a caller can act on. Each message names the file, id or field that is at fault."""

from enum import StrEnum


class Failure(StrEnum):
    """Why an edit has no judgement: the closed list by which failures are counted."""

    NO_ANSWER = "no_answer"
    """The text holds no JSON object: an empty answer, a refusal, plain words."""
    CUT_OFF = "cut_off"
    """The answer, or the thought before it, is longer than the protocol allows."""
    NOT_JSON = "not_json"
    """The object cannot be parsed."""
    WRONG_FORM = "wrong_form"
    """A field is missing, has another type, or there are not two scores."""
    WRONG_REGIONS = "wrong_regions"
    """A region is no box, or the reasoning names regions that do not exist."""
    SCORE_OUT_OF_RANGE = "score_out_of_range"
    """A score is not in 0..25."""
    NO_SOFT_SCORE = "no_soft_score"
    """Soft scores were asked for, and a score was written that has no distribution."""
    BAD_INPUT = "bad_input"
    """A picture or the instruction cannot be used."""
    JUDGE_FAILED = "judge_failed"
    """The engine or its server broke."""


class SpatialRewardError(Exception):
    """Base of every error this library raises on purpose."""


class InvalidInputError(SpatialRewardError, ValueError):
    """What the caller handed in cannot be used: a picture, an instruction, a configuration key."""


class StorageError(SpatialRewardError, RuntimeError):
    """The object store did not take or give an object; the message names its URI."""


class ArtifactError(StorageError):
    """What the object store holds is not what a reference says: an object is missing or altered."""


class JudgementError(SpatialRewardError, ValueError):
    """A judge's answer is not a judgement; ``str(error)`` is the reason a caller may log."""

    def __init__(self, reason: str, failure: Failure = Failure.WRONG_FORM) -> None:
        """Say why in words, and which kind of failure it is."""
        super().__init__(reason)
        self.failure = failure


def is_final(error: BaseException) -> bool:
    """Whether doing the same again cannot help: what was handed in is at fault, not the world."""
    return isinstance(error, SpatialRewardError) and isinstance(error, ValueError)
