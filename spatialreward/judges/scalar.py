"""A judge without generation: a scalar head reads its scores from the prompt.

One forward pass over the prompts of a batch. There are no regions, no reasoning and no
distribution over scores: soft and hard scores are the same number, the head's.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError, SpatialRewardError
from spatialreward.judges.engines.engine import Take
from spatialreward.judges.interface import ClosedAtEnd, Measure, check_edits, ignore
from spatialreward.judges.questions import Question, perceptual_question, semantic_question
from spatialreward.judges.qwen_vl.folder import HEAD_FILE, head_home
from spatialreward.judges.qwen_vl.local import LocalCheckpoint
from spatialreward.judges.reading import paired_scores
from spatialreward.protocol import prompts
from spatialreward.records import (
    SCORES_OF,
    AnswerForm,
    JudgeIdentity,
    Judgement,
    JudgementStatus,
    Streams,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from spatialreward.judges.qwen_vl.processor import Processor
    from spatialreward.judges.qwen_vl.scalar_head import ScalarHead

MODE_IN_IDENTITY = "scalar head"
"""Suffix of such a judge's identity after its aggregation."""
_ASK = {Streams.SEMANTIC: semantic_question, Streams.PERCEPTUAL: perceptual_question}


class PromptReader(Protocol):
    """Encodes prompts; implemented by the transformers engine."""

    def last_hidden(self, questions: Sequence[Question], measure: Measure = ...) -> "torch.Tensor":
        """The hidden state of the last token of each prompt, ``[R, H]``."""
        ...


class ScalarJudge(ClosedAtEnd):
    """A reward model whose scores come from a head, in one pass over the prompts."""

    def __init__(
        self,
        reader: PromptReader,
        head: "ScalarHead",
        protocol: prompts.Protocol,
        *,
        name: str = "unnamed",
        version: str = "",
        weights: str = "",
        notice: str = "",
        batch_size: int = 64,
    ) -> None:
        """Use loaded parts.

        Args:
            reader: encodes prompts.
            head: on the reader's device; not trained here.
            protocol: the model's training protocol.
            name: of the model; see ``JudgeIdentity`` for this and the next two.
            version: of the model.
            weights: digest of the checkpoint.
            notice: a remark for readers of the judgements.
            batch_size: edits judged at once.
        """
        self._reader: PromptReader | None = reader
        self._head = head.requires_grad_(False)
        self._protocol = protocol
        self._batch_size = batch_size
        self.notice = notice
        self.identity = JudgeIdentity(
            name=name,
            version=version,
            weights=weights,
            protocol=protocol.reference,
            aggregation=f"{protocol.aggregation.form}, {MODE_IN_IDENTITY}",
        )

    @classmethod
    def of_model(
        cls,
        model: "PreTrainedModel",
        processor: "Processor",
        head: "ScalarHead",
        protocol: prompts.Protocol,
        *,
        share_prefixes: bool = True,
        **more: Any,
    ) -> Self:
        """Wrap a model in this process; ``more`` as for ``ScalarJudge``."""
        from spatialreward.judges.engines.transformers_engine import TransformersEngine

        reader = TransformersEngine(
            model,
            processor.following(protocol),
            max_answer_tokens=protocol.max_answer_tokens,
            share_prefixes=share_prefixes,
            guided=False,
        )
        return cls(reader, head.to(model.device), protocol, **more)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        adapter: Path | None = None,
        protocol: str | Path | None = None,
        share_prefixes: bool = True,
        **more: Any,
    ) -> Self:
        """Load a judge's checkpoint with its head.

        Args:
            folder: the checkpoint.
            adapter: folder of a LoRA to merge into the weights; its own head counts.
            protocol: for a checkpoint without one, as ``Judge.load`` takes it.
            share_prefixes: compute common prefixes of prompts once.
            more: as for ``ScalarJudge``; the name defaults to the folder's.

        Raises:
            InvalidInputError: as ``Judge.load``; or the head is missing or does not fit.
        """
        from spatialreward.judges.qwen_vl.scalar_head import read_head

        local = LocalCheckpoint.read(folder, adapter, protocol)
        home = head_home(folder, adapter)
        if home is None:
            raise InvalidInputError(
                f"{folder}: has no scalar head ({HEAD_FILE}): expected mode reason, got scalar"
            )
        model, processor = local.load()
        head = read_head(home, model.config.get_text_config().hidden_size)
        described = {"name": local.name} | more
        described |= {"weights": local.weights, "notice": local.notice}
        return cls.of_model(
            model, processor, head, local.protocol, share_prefixes=share_prefixes, **described
        )

    def prepare(self) -> None:
        """Do nothing: a head needs no compiled forms.

        Raises:
            SpatialRewardError: the judge has been closed.
        """
        self._running()

    def judge(self, edits: Iterable[Edit], measure: Measure = ignore) -> list[Judgement]:
        """One judgement an edit, in order.

        Args:
            edits: any number.
            measure: receives the seconds of each phase.

        Raises:
            InvalidInputError: an element of ``edits`` is not an edit.
        """
        waiting = iter(check_edits(edits))
        judged = self.judge_each(lambda room: list(islice(waiting, room)), measure)
        return [judgement for _, judgement in judged]

    def judge_each(self, take: Take, measure: Measure = ignore) -> Iterator[tuple[int, Judgement]]:
        """As ``judge``, batch by batch, while ``take`` returns edits; numbers the judgements."""
        number = 0
        while edits := take(self._batch_size):
            for judgement in self._judge(edits, measure):
                yield number, judgement
                number += 1

    def close(self) -> None:
        """Release the model; its memory is free once nothing else references it."""
        self._reader = None

    def _running(self) -> PromptReader:
        if self._reader is None:
            raise SpatialRewardError("this judge has been closed")
        return self._reader

    def _judge(self, edits: Sequence[Edit], measure: Measure) -> list[Judgement]:
        reader = self._running()
        asked = [
            (number, stream)
            for number, edit in enumerate(edits)
            for stream in SCORES_OF
            if edit.options.streams in (stream, Streams.BOTH) and stream in self._head.streams
        ]
        pairs: list[dict[Streams, list[float]]] = [{} for _ in edits]
        if asked:
            questions = [_ASK[stream](self._protocol, edits[number]) for number, stream in asked]
            hidden_RH = reader.last_hidden(questions, measure)
            start = time.perf_counter()
            logits_RD = self._head(hidden_RH).cpu()
            for row, (number, stream) in enumerate(asked):
                [pairs[number][stream]] = self._head.scores(logits_RD[row : row + 1], stream)
            measure("seconds/parse", time.perf_counter() - start)
        return [self._read(edit, found) for edit, found in zip(edits, pairs, strict=True)]

    def _read(self, edit: Edit, pairs: dict[Streams, list[float]]) -> Judgement:
        wanted = 2 if edit.options.streams is Streams.BOTH else 1
        values = [score for pair in pairs.values() for score in pair]
        if len(pairs) < wanted:
            trained = ", ".join(self._head.streams)
            judgement = Judgement.failed(
                f"streams: the head was trained for {trained} alone, got {edit.options.streams}",
                Failure.BAD_INPUT,
            )
        elif not all(map(math.isfinite, values)):
            judgement = Judgement.failed(
                "the head's logits are NaN or infinite", Failure.JUDGE_FAILED
            )
        else:
            scores = paired_scores(pairs.get(Streams.SEMANTIC), pairs.get(Streams.PERCEPTUAL))
            judgement = Judgement(
                status=JudgementStatus.OK,
                scores=scores,
                soft_scores=scores,
                reward=self._protocol.aggregation.reward(scores),
            )
        update = {"judged_by": str(self.identity), "answer": AnswerForm.NONE}
        return judgement.model_copy(update=update)
