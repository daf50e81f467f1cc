"""The judge in this process: up to two streams an edit, answers parsed, scores hard and soft."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

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


EngineName = Literal["transformers", "vllm"]


@dataclass
class _Asked:
    """An edit with the answers that have come for it."""

    edit: EditToJudge
    number: int
    answers: dict[Streams, Generated] = field(default_factory=dict)

    @property
    def is_answered(self) -> bool:
        wanted = 2 if self.edit.options.streams is Streams.BOTH else 1
        return len(self.answers) == wanted


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
        share_prefixes: bool = True,
        **more: Any,
    ) -> Self:
        """A model in this process, with the transformers engine; ``more`` as for ``Judge``."""
        from spatialreward.judge.transformers_engine import TransformersEngine

        engine = TransformersEngine(
            model,
            processor.following(protocol),
            max_answer_tokens=protocol.max_answer_tokens,
            share_prefixes=share_prefixes,
        )
        return cls(engine, protocol, **more)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        engine: EngineName = "transformers",
        share_prefixes: bool = True,
        batch_size: int = 64,
    ) -> Self:
        """Read a judge's checkpoint.

        Args:
            folder: the checkpoint.
            engine: what runs it; vLLM needs a GPU and an environment of its own.
            share_prefixes: compute what prompts have in common once; vLLM always does.
            batch_size: edits that are judged at once.

        Raises:
            InvalidInputError: the folder holds no checkpoint, or one that cannot judge.
        """
        protocol = Protocol.read(folder)
        more = {
            "notice": str(checkpoint.read_card(folder).get("notice", "")),
            "batch_size": batch_size,
        }
        if engine == "vllm":
            from spatialreward.judge.vllm_engine import VllmEngine

            return cls(VllmEngine.load(folder, protocol), protocol, **more)
        model, processor = checkpoint.load(folder, protocol.square_side)
        return cls.of_model(model, processor, protocol, share_prefixes=share_prefixes, **more)

    def judge(self, edits: Sequence[EditToJudge], measure: Measure = ignore) -> list[Judgement]:
        """One judgement an edit, in order; one that cannot be read is a failure with a reason.

        Args:
            edits: any number.
            measure: is told how long each phase took, and how many answers could not be read.
        """
        judgements = dict(self.judge_each(edits, measure))
        return [judgements[number] for number in range(len(edits))]

    def judge_each(
        self, edits: Sequence[EditToJudge], measure: Measure = ignore
    ) -> Iterator[tuple[int, Judgement]]:
        """As ``judge``, but each edit's number and judgement as soon as it is there."""
        for start in range(0, len(edits), self._batch_size):
            batch = edits[start : start + self._batch_size]
            for number, judgement in self._judge_batch(batch, measure):
                yield start + number, judgement

    def _judge_batch(
        self, edits: Sequence[EditToJudge], measure: Measure
    ) -> Iterator[tuple[int, Judgement]]:
        asked = [_Asked(edit, number) for number, edit in enumerate(edits)]
        streams = [
            (one, stream)
            for one in asked
            for stream in (Streams.SEMANTIC, Streams.PERCEPTUAL)
            if one.edit.options.streams in (stream, Streams.BOTH)
        ]
        questions = [self._question(stream, one.edit) for one, stream in streams]
        for number, answer in self._engine.answer(questions, measure):
            one, stream = streams[number]
            one.answers[stream] = answer
            if one.is_answered:
                start = time.perf_counter()
                judgement = self._read_or_fail(one, measure)
                measure("seconds/parse", time.perf_counter() - start)
                yield one.number, judgement

    def _question(self, stream: Streams, edit: EditToJudge) -> Question:
        ask = semantic_question if stream is Streams.SEMANTIC else perceptual_question
        return ask(self._protocol, edit)

    def _read_or_fail(self, asked: "_Asked", measure: Measure) -> Judgement:
        try:
            return self._read(asked)
        except JudgementError as error:
            measure("answers/unreadable", 1)
            return Judgement(status=JudgementStatus.FAILED, reason=str(error))

    def _read(self, asked: "_Asked") -> Judgement:
        sc, pq = (asked.answers.get(one) for one in (Streams.SEMANTIC, Streams.PERCEPTUAL))
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
        rewarded = soft if soft and asked.edit.options.scores is ScoreKind.SOFT else hard
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
