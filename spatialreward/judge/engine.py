"""The judge in this process: two streams an edit, answers parsed, scores hard and soft."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from spatialreward.errors import JudgementError
from spatialreward.judge import checkpoint
from spatialreward.judge.generation import Generated, generate
from spatialreward.judge.interface import EditToJudge
from spatialreward.judge.processor import Processor, Question
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import Judgement, JudgementStatus, Scores

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration


class Judge:
    """A reward model with its processor and protocol."""

    def __init__(
        self,
        model: "Qwen3VLForConditionalGeneration",
        processor: Processor,
        protocol: Protocol,
        *,
        notice: str = "",
        batch_size: int = 32,
    ) -> None:
        """Take the parts; ``batch_size`` edits are judged at once."""
        self._model = model.eval()
        self._processor = processor
        self._protocol = protocol
        self._batch_size = batch_size
        self._aggregation = Aggregation()
        self.notice = notice

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a judge's checkpoint.

        Raises:
            InvalidInputError: the folder holds no checkpoint, or one that cannot judge.
        """
        protocol = Protocol.read(folder)
        model, processor = checkpoint.load(folder, protocol.square_side)
        notice = str(checkpoint.read_card(folder).get("notice", ""))
        return cls(model, processor, protocol, notice=notice)

    def judge(self, edits: Sequence[EditToJudge]) -> list[Judgement]:
        """One judgement an edit, in order; one that cannot be read is a failure with a reason."""
        return [
            judgement
            for start in range(0, len(edits), self._batch_size)
            for judgement in self._judge_batch(edits[start : start + self._batch_size])
        ]

    def _judge_batch(self, edits: Sequence[EditToJudge]) -> Iterator[Judgement]:
        semantic = self._answers(
            Question((edit.source, edit.edited), self._protocol.semantic_prompt(edit.instruction))
            for edit in edits
        )
        perceptual = self._answers(
            Question((edit.edited,), self._protocol.perceptual) for edit in edits
        )
        for sc, pq in zip(semantic, perceptual, strict=True):
            try:
                yield self._read(sc, pq)
            except JudgementError as error:
                yield Judgement(status=JudgementStatus.FAILED, reason=str(error))

    def _answers(self, questions: Iterator[Question]) -> list[Generated]:
        limit = self._protocol.max_answer_tokens
        return generate(self._model, self._processor, list(questions), limit)

    def _read(self, sc: Generated, pq: Generated) -> Judgement:
        for stream, generated in (("SC", sc), ("PQ", pq)):
            if not generated.complete:
                limit = self._protocol.max_answer_tokens
                raise JudgementError(f"{stream} answer is longer than {limit} tokens")
        semantic, perceptual = parse_semantic(sc.text), parse_perceptual(pq.text)
        hard = _scores((*semantic.score, *perceptual.score))
        soft = None
        if len(sc.soft_scores) == len(pq.soft_scores) == 2:
            soft = _scores((*sc.soft_scores, *pq.soft_scores))
        return Judgement(
            status=JudgementStatus.OK,
            regions=semantic.edit_region,
            sc_reasoning=semantic.reasoning,
            pq_reasoning=perceptual.reasoning,
            scores=hard,
            soft_scores=soft,
            reward=self._aggregation.reward(soft or hard),
        )


def _scores(values: Sequence[float]) -> Scores:
    success, over_editing, naturalness, freedom = values
    return Scores(
        editing_success=success,
        over_editing=over_editing,
        naturalness=naturalness,
        artifact_freedom=freedom,
    )
