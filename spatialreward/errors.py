"""Errors that a caller can act on. Each message names the file, id or field at fault."""

from enum import StrEnum


class Failure(StrEnum):
    """Why an edit has no judgement: a closed list, for counting."""

    NO_ANSWER = "no_answer"
    """The text holds no JSON object: an empty answer, a refusal, plain words."""
    CUT_OFF = "cut_off"
    """The answer, or the thought before it, is longer than the protocol allows."""
    NOT_JSON = "not_json"
    """The object cannot be parsed."""
    WRONG_FORM = "wrong_form"
    """A field is missing or has the wrong type, or there are not two scores."""
    WRONG_REGIONS = "wrong_regions"
    """A region is not a box, or the reasoning names regions that do not exist."""
    SCORE_OUT_OF_RANGE = "score_out_of_range"
    """A score is not in 0..25."""
    NO_SOFT_SCORE = "no_soft_score"
    """Soft scores were requested, and a written score has no distribution."""
    BAD_INPUT = "bad_input"
    """A picture or the instruction is unusable."""
    JUDGE_FAILED = "judge_failed"
    """The engine or its server broke."""


class SpatialRewardError(Exception):
    """Base of every error this library raises on purpose."""


class InvalidInputError(SpatialRewardError, ValueError):
    """The caller's input is unusable: a picture, an instruction, a configuration key."""


class StorageError(SpatialRewardError, RuntimeError):
    """The object store refused a read or write; the message names the URI."""


class ArtifactError(StorageError):
    """Stored content differs from its reference: an object is missing or altered."""


class JudgementError(SpatialRewardError, ValueError):
    """A judge's answer is not a judgement; ``str(error)`` is a reason fit for logs."""

    def __init__(self, reason: str, failure: Failure = Failure.WRONG_FORM) -> None:
        """Record the reason in words, and the kind of failure."""
        super().__init__(reason)
        self.failure = failure


def is_final(error: BaseException) -> bool:
    """Whether a retry cannot help, because the input is at fault."""
    return isinstance(error, SpatialRewardError) and isinstance(error, ValueError)
