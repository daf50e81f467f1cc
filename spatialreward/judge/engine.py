"""The judge in this process: up to two streams an edit, answers parsed, scores hard and soft."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from spatialreward.errors import JudgementError
from spatialreward.judge import checkpoint
from spatialreward.judge.answers import AnswerEngine, Generated
from spatialreward.judge.interface import EditToJudge, Measure, ignore
from spatialreward.judge.questions import Question, perceptual_question, semantic_question
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import Judgement, JudgementStatus, ScoreKind, Scores, Streams

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration

    from spatialreward.judge.processor import Processor


class Judge:
    """A reward model behind an engine, asked in the words of its protocol."""

    def __init__(
        self, engine: AnswerEngine, protocol: Protocol, *, notice: str = "", batch_size: int = 64
    ) -> None:
        """Take the parts; ``batch_size`` edits are judged at once."""
        self._engine = engine
        self._protocol = protocol
        self._batch_size = batch_size
        self._aggregation = Aggregation()
        self.notice = notice

    @classmethod
    def of_model(
        cls,
        model: "Qwen3VLForConditionalGeneration",
        processor: "Processor",
        protocol: Protocol,
        *,
        notice: str = "",
        share_prefixes: bool = True,
        batch_size: int = 64,
    ) -> Self:
        """A model in this process, with the transformers engine."""
        from spatialreward.judge.transformers_engine import TransformersEngine

        engine = TransformersEngine(
            model,
            processor.following(protocol),
            max_answer_tokens=protocol.max_answer_tokens,
            share_prefixes=share_prefixes,
        )
        return cls(engine, protocol, notice=notice, batch_size=batch_size)

    @classmethod
    def load(cls, folder: Path, *, share_prefixes: bool = True, batch_size: int = 64) -> Self:
        """Read a judge's checkpoint into the transformers engine.

        Raises:
            InvalidInputError: the folder holds no checkpoint, or one that cannot judge.
        """
        protocol = Protocol.read(folder)
        model, processor = checkpoint.load(folder, protocol.square_side)
        notice = str(checkpoint.read_card(folder).get("notice", ""))
        return cls.of_model(
            model,
            processor,
            protocol,
            notice=notice,
            share_prefixes=share_prefixes,
            batch_size=batch_size,
        )

    def judge(self, edits: Sequence[EditToJudge], measure: Measure = ignore) -> list[Judgement]:
        """One judgement an edit, in order; one that cannot be read is a failure with a reason.

        Args:
            edits: any number.
            measure: is told how long each phase took, and how many answers could not be read.
        """
        return [
            judgement
            for start in range(0, len(edits), self._batch_size)
            for judgement in self._judge_batch(edits[start : start + self._batch_size], measure)
        ]

    def _judge_batch(self, edits: Sequence[EditToJudge], measure: Measure) -> list[Judgement]:
        questions: list[Question] = []
        asked: list[tuple[int | None, int | None]] = []
        for edit in edits:
            sc = pq = None
            if edit.options.streams is not Streams.PERCEPTUAL:
                sc = len(questions)
                questions.append(semantic_question(self._protocol, edit))
            if edit.options.streams is not Streams.SEMANTIC:
                pq = len(questions)
                questions.append(perceptual_question(self._protocol, edit))
            asked.append((sc, pq))
        answers = self._engine.answer(questions, measure)
        start = time.perf_counter()
        judgements = [
            self._read_or_fail(
                edit,
                None if sc is None else answers[sc],
                None if pq is None else answers[pq],
                measure,
            )
            for edit, (sc, pq) in zip(edits, asked, strict=True)
        ]
        measure("seconds/parse", time.perf_counter() - start)
        return judgements

    def _read_or_fail(
        self, edit: EditToJudge, sc: Generated | None, pq: Generated | None, measure: Measure
    ) -> Judgement:
        try:
            return self._read(edit, sc, pq)
        except JudgementError as error:
            measure("answers/unreadable", 1)
            return Judgement(status=JudgementStatus.FAILED, reason=str(error))

    def _read(self, edit: EditToJudge, sc: Generated | None, pq: Generated | None) -> Judgement:
        for stream, generated in (("SC", sc), ("PQ", pq)):
            if generated is not None and not generated.complete:
                limit = self._protocol.max_answer_tokens
                raise JudgementError(f"{stream} answer is longer than {limit} tokens")
        semantic = None if sc is None else parse_semantic(sc.text)
        perceptual = None if pq is None else parse_perceptual(pq.text)
        hard = _scores(semantic and semantic.score, perceptual and perceptual.score)
        soft = None
        if all(one is None or len(one.soft_scores) == 2 for one in (sc, pq)):
            soft = _scores(sc and sc.soft_scores, pq and pq.soft_scores)
        rewarded = soft if soft and edit.options.scores is ScoreKind.SOFT else hard
        return Judgement(
            status=JudgementStatus.OK,
            regions=semantic.edit_region if semantic else (),
            sc_reasoning=semantic.reasoning if semantic else "",
            pq_reasoning=perceptual.reasoning if perceptual else "",
            scores=hard,
            soft_scores=soft,
            reward=self._aggregation.reward(rewarded),
        )


def _scores(semantic: Sequence[float] | None, perceptual: Sequence[float] | None) -> Scores:
    success, over_editing = semantic or (None, None)
    naturalness, freedom = perceptual or (None, None)
    return Scores(
        editing_success=success,
        over_editing=over_editing,
        naturalness=naturalness,
        artifact_freedom=freedom,
    )
