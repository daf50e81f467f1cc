"""Asks a version that was just loaded, before or after it is served."""

import logging
from collections.abc import Mapping

from PIL import Image

from spatialreward.client import ServerUnavailable, ServingError, TritonJudge
from spatialreward.edits import Edit
from spatialreward.ops.deployment.errors import DeploymentError, ServerAway
from spatialreward.records import JudgeIdentity, Judgement, JudgementStatus
from spatialreward.serving.faults import ENGINE_FAILED

logger = logging.getLogger(__name__)

SmokeEdits = Mapping[str, Edit]
"""Edits by id that a judge must be able to judge."""


def check_answers(endpoint: str, model: str, version: int, edits: SmokeEdits) -> None:
    """Ask a served model, and make sure that it is this version that judges.

    Args:
        endpoint: Triton's gRPC address.
        model: the model's name on the server.
        version: who must answer.
        edits: all must be judged. Without any, a blank picture is asked about. A judge that
            works may answer that with something that is no judgement; it may not break down.

    Raises:
        DeploymentError: an answer is missing, comes from elsewhere, or failed.
    """
    asked = edits or {"blank picture": _blank_edit()}
    try:
        with TritonJudge(endpoint, model=model) as judge:
            judgements = judge.judge(list(asked.values()))
    except ServerUnavailable as error:
        raise ServerAway(f"{model} version {version} does not answer: {error}") from error
    except ServingError as error:
        raise DeploymentError(f"{model} version {version} does not answer: {error}") from error
    for name, judgement in zip(asked, judgements, strict=True):
        _check_one(f"{model}/{version}", name, judgement, must_be_judged=bool(edits))
    logger.info("%s version %d answers (%d smoke edits)", model, version, len(asked))


def _check_one(expected: str, name: str, judgement: Judgement, *, must_be_judged: bool) -> None:
    if JudgeIdentity.name_in(judgement.judged_by) != expected:
        raise DeploymentError(f"{expected}: smoke edit {name} was judged by {judgement.judged_by}")
    if judgement.status is JudgementStatus.OK:
        return
    if must_be_judged or judgement.reason == ENGINE_FAILED:
        raise DeploymentError(f"{expected}: smoke edit {name}: {judgement.reason}")


def _blank_edit() -> Edit:
    blank = Image.new("RGB", (64, 64), "white")
    return Edit(blank, blank, "add a red circle")
