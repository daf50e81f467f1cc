"""The judge in this process: up to two streams an edit, parsed answers, hard and soft scores."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from spatialreward.edits import Edit
from spatialreward.errors import (
    Failure,
    InvalidInputError,
    JudgementError,
    SpatialRewardError,
)
from spatialreward.judges.interface import (
    ClosedAtEnd,
    Listener,
    Measure,
    check_edits,
    ignore,
    listen_to_nothing,
)
from spatialreward.judges.questions import (
    Question,
    perceptual_question,
    refusal,
    semantic_question,
)
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.answers import AnswerEngine, Generated
from spatialreward.judges.qwen_vl.limits import check_limits
from spatialreward.judges.qwen_vl.local import LocalCheckpoint
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.judges.reading import judgement_of, paired_scores
from spatialreward.protocol.formats import AnswerFormat
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import Protocol
from spatialreward.protocol.public_answers import read_public
from spatialreward.records import (
    AnswerForm,
    JudgeIdentity,
    Judgement,
    ScoreKind,
    Scores,
    Streams,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


NO_SOFT_SCORES = "answers in this format have no soft scores; request hard scores"
EngineName = Literal["transformers", "vllm"]
Take = Callable[[int], Sequence[Edit]]
"""Returns at most the given number of edits; none if there are none at present."""


@dataclass
class _Asked:
    """An edit with the answers received so far."""

    edit: Edit
    number: int
    questions: tuple[Streams, ...]
    """The prompts in use for this edit."""
    answers: dict[Streams, Generated] = field(default_factory=dict)

    @property
    def is_answered(self) -> bool:
        return len(self.answers) == len(self.questions)


class _Stream(NamedTuple):
    """One question about an edit."""

    asked: _Asked
    name: Streams


class _Intake:
    """Turns edits into questions as room allows, and assigns answers to their edits."""

    def __init__(self, take: Take, protocol: Protocol, batch_size: int, join_below: float) -> None:
        self._take = take
        self._protocol = protocol
        self._batch_size = batch_size
        self._join_below = join_below
        self._num_edits = 0
        self._num_questions = 0
        self._open: dict[int, _Stream] = {}
        self._refused: list[tuple[int, Judgement]] = []

    def begin(self) -> list[Question]:
        """The questions of a new batch; their numbers begin at 0."""
        self._num_questions = 0
        return self._ask(self._batch_size)

    def fill_up(self, num_writing: int) -> list[Question]:
        """Questions to top up a batch with ``num_writing`` unfinished answers."""
        num_edits = -(-num_writing // 2)
        if num_edits > self._join_below * self._batch_size:
            return []
        return self._ask(self._batch_size - num_edits)

    def answered(self, number: int, answer: Generated) -> _Asked | None:
        """Record an answer; returns its edit once all its answers are there."""
        asked, name = self._open.pop(number)
        asked.answers[name] = answer
        return asked if asked.is_answered else None

    def refused(self) -> list[tuple[int, Judgement]]:
        """Numbers and failed judgements of the edits without questions, each once."""
        refused, self._refused = self._refused, []
        return refused

    def _ask(self, room: int) -> list[Question]:
        """Questions about the next edits; empty only if there are no edits at present."""
        questions: list[Question] = []
        while not questions and (edits := self._take(room)):
            for edit in edits:
                asked = self._protocol.format.questions(edit.options.streams)
                questions += self._questions(_Asked(edit, self._num_edits, asked))
                self._num_edits += 1
        return questions

    def _questions(self, asked: _Asked) -> Iterator[Question]:
        if failed := refusal(self._protocol, asked.edit):
            self._refused.append((asked.number, failed))
            return
        for name in asked.questions:
            self._open[self._num_questions] = _Stream(asked, name)
            self._num_questions += 1
            yield _ASK[name](self._protocol, asked.edit)


_ASK = {Streams.SEMANTIC: semantic_question, Streams.PERCEPTUAL: perceptual_question}


class Judge(ClosedAtEnd):
    """A reward model behind an engine, prompted by its protocol."""

    def __init__(
        self,
        engine: AnswerEngine,
        protocol: Protocol,
        *,
        name: str = "unnamed",
        version: str = "",
        weights: str = "",
        notice: str = "",
        batch_size: int = 64,
        join_below: float = 0.25,
    ) -> None:
        """Use loaded parts.

        Args:
            engine: answers questions.
            protocol: the model's training protocol.
            name: of the model; see ``JudgeIdentity`` for this and the next two.
            version: of the model.
            weights: digest of the checkpoint.
            notice: a remark for readers of the judgements.
            batch_size: edits judged at once.
            join_below: new edits join a batch once fewer than this share of it is unfinished.
        """
        self._engine: AnswerEngine | None = engine
        self._protocol = protocol
        self._batch_size = batch_size
        self._join_below = join_below
        self._listener: Listener = listen_to_nothing
        self.notice = "; ".join(filter(None, (notice, protocol.notice)))
        self.identity = JudgeIdentity(
            name=name,
            version=version,
            weights=weights,
            protocol=protocol.reference,
            aggregation=protocol.reward_of,
        )

    @classmethod
    def of_model(
        cls,
        model: "PreTrainedModel",
        processor: Processor,
        protocol: Protocol,
        *,
        share_prefixes: bool = True,
        guided: bool = True,
        **more: Any,
    ) -> Self:
        """Wrap a model in this process with the transformers engine; ``more`` as for ``Judge``."""
        from spatialreward.judges.engines.transformers_engine import TransformersEngine

        engine = TransformersEngine(
            model,
            processor.following(protocol),
            max_answer_tokens=protocol.max_answer_tokens,
            share_prefixes=share_prefixes,
            guided=guided,
        )
        return cls(engine, protocol, **more)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        engine: EngineName = "transformers",
        adapter: Path | None = None,
        protocol: str | Path | None = None,
        share_prefixes: bool = True,
        guided: bool = True,
        **more: Any,
    ) -> Self:
        """Load a judge's checkpoint.

        Args:
            folder: the checkpoint.
            engine: vLLM needs a GPU and its own environment.
            adapter: folder of a LoRA to merge into the weights; a protocol in it counts.
            protocol: for a checkpoint without one: ``full``, ``tiny``, one of them in another form
                such as ``full-scores``, or a protocol file; default ``full``.
            share_prefixes: compute common prefixes of prompts once; vLLM always does.
            guided: constrain answers to their form during generation.
            more: as for ``Judge``; the name defaults to the folder's.

        Raises:
            InvalidInputError: the folder holds no checkpoint, a damaged one, one that cannot judge
                or generates no answer, or an adapter that ``adapter`` does not name; or ``adapter``
                does not fit it, or its protocol shows larger pictures or allows longer answers than
                the model can read.
        """
        local = LocalCheckpoint.read(folder, adapter, protocol)
        followed = local.protocol
        if followed.format is AnswerFormat.HEADS:
            raise InvalidInputError(
                f"{local.place}: format {followed.format}: a judge with score heads writes no "
                "answers; load_judge and the commands that take --model read it, a server does not"
            )
        if followed.answer is AnswerForm.NONE:
            raise InvalidInputError(
                f"{local.place}: this judge writes no answer, its scores are read from a scalar "
                "head: expected mode scalar, got reason"
            )
        more["weights"] = local.weights
        more.setdefault("name", local.name)
        more["notice"] = local.notice
        if engine == "vllm":
            from spatialreward.judges.engines.vllm_engine import VllmEngine

            if adapter is not None:
                raise InvalidInputError(
                    f"{adapter}: vLLM takes none here; merge it with "
                    "`spatialreward train merge-adapter`"
                )
            processor = Processor.load(folder, followed.square_side)
            check_limits(followed, local.place, checkpoint.config_of(local.checked), processor)
            running = VllmEngine.load(folder, processor, followed, guided=guided)
            return cls(running, followed, **more)
        model, processor = local.load()
        return cls.of_model(
            model, processor, followed, share_prefixes=share_prefixes, guided=guided, **more
        )

    def prepare(self) -> None:
        """Do one-time work before the first edits, such as compiling the forms of answers.

        Raises:
            SpatialRewardError: the judge has been closed.
        """
        self._running().prepare(self._protocol.answer)

    def judge(self, edits: Iterable[Edit], measure: Measure = ignore) -> list[Judgement]:
        """One judgement an edit, in order; an unreadable answer is a failure with a reason.

        Args:
            edits: any number.
            measure: receives the seconds of each phase, and the number of unreadable answers.

        Raises:
            InvalidInputError: an element of ``edits`` is not an edit.
        """
        edits = check_edits(edits)
        waiting = iter(edits)
        judged = self.judge_each(lambda room: list(islice(waiting, room)), measure)
        judgements = dict(judged)
        return [judgements[number] for number in range(len(edits))]

    def judge_each(self, take: Take, measure: Measure = ignore) -> Iterator[tuple[int, Judgement]]:
        """As ``judge``, but yields each judgement when finished; edits may join at any time.

        Args:
            take: called for further edits until it returns none.
            measure: as for ``judge``.

        Yields:
            The number of an edit, in the order of ``take``, and its judgement.
        """
        engine = self._running()
        intake = _Intake(take, self._protocol, self._batch_size, self._join_below)
        while questions := intake.begin():
            yield from self._refuse(intake)
            for number, answer in engine.answer(questions, measure, intake.fill_up):
                if asked := intake.answered(number, answer):
                    start = time.perf_counter()
                    judgement = self._read_or_fail(asked, measure).model_copy(
                        update={"judged_by": str(self.identity), "answer": self._protocol.answer}
                    )
                    measure("seconds/parse", time.perf_counter() - start)
                    yield asked.number, judgement
        yield from self._refuse(intake)

    def _refuse(self, intake: _Intake) -> Iterator[tuple[int, Judgement]]:
        for number, failed in intake.refused():
            yield number, failed.model_copy(update={"judged_by": str(self.identity)})

    def set_listener(self, listener: Listener) -> None:
        """See ``Writing``."""
        self._listener = listener

    def close(self) -> None:
        """Release the model; its memory is free once nothing else references it."""
        self._engine = None

    def _running(self) -> AnswerEngine:
        if self._engine is None:
            raise SpatialRewardError("this judge has been closed")
        return self._engine

    def _read_or_fail(self, asked: "_Asked", measure: Measure) -> Judgement:
        self._listener(asked.edit, {name: one.text for name, one in asked.answers.items()})
        try:
            judgement = self._read(asked)
        except JudgementError as error:
            measure("answers/unreadable", 1)
            return Judgement.failed(str(error), error.failure)
        for one in judgement.mended:
            measure(f"mended/{one}", 1)
        return judgement

    def _read(self, asked: "_Asked") -> Judgement:
        sc, pq = (asked.answers.get(one) for one in (Streams.SEMANTIC, Streams.PERCEPTUAL))
        for stream, generated in (("SC", sc), ("PQ", pq)):
            if generated is not None and not generated.complete:
                limit = self._protocol.max_answer_tokens
                reason = f"{stream} answer is longer than {limit} tokens"
                raise JudgementError(reason, Failure.CUT_OFF)
        if self._protocol.format is not AnswerFormat.JSON:
            return self._read_public(asked)
        allowed, form = self._protocol.mendings, self._protocol.answer
        semantic = None if sc is None else parse_semantic(sc.text, allowed, form)
        perceptual = None if pq is None else parse_perceptual(pq.text, allowed, form)
        soft = _soft_scores(sc, pq)
        wants_soft = asked.edit.options.scores is ScoreKind.SOFT
        if wants_soft and soft is None:
            raise JudgementError(
                "a written score has no distribution over 0..25, which soft scores need; request "
                "hard scores",
                Failure.NO_SOFT_SCORE,
            )
        return judgement_of(semantic, perceptual, self._protocol, soft=soft, wants_soft=wants_soft)

    def _read_public(self, asked: "_Asked") -> Judgement:
        if asked.edit.options.names_soft_scores:
            raise JudgementError(NO_SOFT_SCORES, Failure.NO_SOFT_SCORE)
        texts = {name: one.text for name, one in asked.answers.items()}
        return read_public(self._protocol, texts, asked.edit.options.streams)


def _soft_scores(semantic: Generated | None, perceptual: Generated | None) -> Scores | None:
    if any(one is not None and len(one.soft_scores) != 2 for one in (semantic, perceptual)):
        return None
    return paired_scores(semantic and semantic.soft_scores, perceptual and perceptual.soft_scores)
