"""Combines the streams' answers into a judgement, for any engine; free of torch."""

from collections.abc import Sequence

from spatialreward.protocol.parsing import PerceptualAnswer, SemanticAnswer
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import Judgement, JudgementStatus, Mending, Scores


def judgement_of(
    semantic: SemanticAnswer | None,
    perceptual: PerceptualAnswer | None,
    protocol: Protocol,
    *,
    soft: Scores | None = None,
    wants_soft: bool = False,
) -> Judgement:
    """The judgement in parsed answers.

    Args:
        semantic: of the SC stream; None if it was not requested.
        perceptual: of the PQ stream; None if it was not requested.
        protocol: gives the form of the answers, and how scores become a reward.
        soft: soft scores, from engines that have them.
        wants_soft: compute the reward from them, if there are any.
    """
    hard = paired_scores(semantic and semantic.score, perceptual and perceptual.score)
    return Judgement(
        status=JudgementStatus.OK,
        regions=semantic.edit_region if semantic else (),
        answer=protocol.answer,
        sc_reasoning=semantic.reasoning if semantic else "",
        pq_reasoning=perceptual.reasoning if perceptual else "",
        scores=hard,
        soft_scores=soft,
        reward=protocol.aggregation.reward(soft if wants_soft and soft else hard),
        mended=_mended(semantic, perceptual),
    )


def paired_scores(semantic: Sequence[float] | None, perceptual: Sequence[float] | None) -> Scores:
    """The scores of the requested streams, two each."""
    success, over_editing = semantic or (None, None)
    naturalness, freedom = perceptual or (None, None)
    return Scores(
        editing_success=success,
        over_editing=over_editing,
        naturalness=naturalness,
        artifact_freedom=freedom,
    )


def _mended(*answers: SemanticAnswer | PerceptualAnswer | None) -> tuple[Mending, ...]:
    named = {one for answer in answers if answer is not None for one in answer.mended}
    return tuple(one for one in Mending if one in named)
