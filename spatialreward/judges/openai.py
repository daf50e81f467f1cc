"""Any model with OpenAI's chat completions API as a judge, prompted by a protocol.

The API gives no distribution of scores, so there are no soft scores; nor does it identify the
weights. Left out: a retry after an unreadable answer, which would be another judgement, and
guided answers, which each server does in its own way.
"""

import asyncio
import functools
import logging
from collections.abc import Iterable, Mapping

from spatialreward.chat.faults import ChatFault
from spatialreward.chat.keys import key_of
from spatialreward.chat.reply import Reply
from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError, JudgementError, SpatialRewardError
from spatialreward.judges.interface import (
    ClosedAtEnd,
    Listener,
    Tokens,
    check_edits,
    listen_to_nothing,
)
from spatialreward.judges.openai_asking import (
    Asker,
    Silence,
    Spent,
    ask_all,
    failure_of,
    longest_answer,
    read_reply,
    whole_text,
)
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.judges.questions import perceptual_question, refusal, semantic_question
from spatialreward.judges.reading import judgement_of
from spatialreward.protocol.formats import AnswerFormat
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import FULL, Protocol
from spatialreward.protocol.public_answers import read_public
from spatialreward.records import JudgeIdentity, Judgement, Streams

logger = logging.getLogger(__name__)

_ASK = {Streams.SEMANTIC: semantic_question, Streams.PERCEPTUAL: perceptual_question}


class OpenAiJudge(ClosedAtEnd):
    """A model behind an address; safe to use from several threads.

    Each call of ``judge`` opens its own connections, so none stay open between calls.
    """

    def __init__(self, config: OpenAiConfig, protocol: Protocol = FULL) -> None:
        """Configure the judge; sends no request yet.

        Args:
            config: model, address and sampling.
            protocol: its prompts, and how its scores become a reward.

        Raises:
            InvalidInputError: the key is not set, or the protocol has a chat template, which the
                server applies itself, or reads score heads.
        """
        if protocol.format is AnswerFormat.HEADS:
            raise InvalidInputError(
                f"judge {config.name}: protocol {protocol.name} reads score heads, which a server "
                "of chat completions does not hand out"
            )
        if protocol.chat_template is not None:
            raise InvalidInputError(
                f"judge {config.name}: protocol {protocol.name} has a chat template of its own, "
                "which a server cannot be given; use full or a protocol file without one"
            )
        key_of(config)
        self._config = config
        self._protocol = protocol
        self._silence = Silence(config)
        self._spent = Spent()
        self._is_closed = False
        self._listener: Listener = listen_to_nothing
        self.notice = (
            f"scores as {config.name} wrote them, without soft scores; which weights answer there "
            "is not known"
        )
        if protocol.notice:
            self.notice += f"; {protocol.notice}"
        self.identity = JudgeIdentity(
            name=config.name,
            version=config.changes,
            weights="unknown",
            protocol=protocol.reference,
            aggregation=protocol.reward_of,
        )

    def judge(self, edits: Iterable[Edit]) -> list[Judgement]:
        """One judgement an edit, in order.

        An edit with an unreadable or missing answer gets a failed judgement, whose reason names it;
        so does one that explicitly requests soft scores.

        Raises:
            InvalidInputError: an element of ``edits`` is no edit; or the server refuses the key,
                lacks the model, demands payment or redirects.
            ServerAway: ``give_up_after`` edits in a row got no answer.
            SpatialRewardError: the judge has been closed.
        """
        edits = check_edits(edits)
        if self._is_closed:
            raise SpatialRewardError("this judge has been closed")
        asking = [
            functools.partial(self._judge_one, edit=edit, name=f"edit {edit.id or number}")
            for number, edit in enumerate(edits)
        ]
        return ask_all(self._config, self._protocol, self._spent, asking)

    @property
    def tokens(self) -> Tokens:
        """See ``Metered``."""
        return self._spent.tokens

    def set_listener(self, listener: Listener) -> None:
        """See ``Writing``."""
        self._listener = listener

    def close(self) -> None:
        """Mark the judge closed; it holds no connections."""
        self._is_closed = True

    async def _judge_one(self, asker: Asker, edit: Edit, name: str) -> Judgement:
        try:
            judgement = await self._ask_streams(asker, edit)
        except JudgementError as error:
            logger.info("%s: no judgement, %s", name, error)
            judgement = Judgement.failed(f"{name}: {error}", error.failure)
        update = {"judged_by": str(self.identity), "answer": self._protocol.answer}
        return judgement.model_copy(update=update)

    async def _ask_streams(self, asker: Asker, edit: Edit) -> Judgement:
        if edit.options.names_soft_scores:
            raise JudgementError(
                "a model behind an address gives no distribution of its scores, which soft scores "
                "need; request hard scores",
                Failure.NO_SOFT_SCORE,
            )
        if failed := refusal(self._protocol, edit):
            return failed
        asked = self._protocol.format.questions(edit.options.streams)
        # Wait for both: one answer already shows that the server is up.
        answers = await asyncio.gather(
            *(asker.ask(_ASK[one](self._protocol, edit)) for one in asked),
            return_exceptions=True,
        )
        self._silence.note(answers)
        answered = zip(asked, answers, strict=True)
        self._listener(
            edit, {one: reply.words for one, reply in answered if isinstance(reply, Reply)}
        )
        replies: dict[Streams, Reply] = {}
        for stream, answer in zip(asked, answers, strict=True):
            if isinstance(answer, ChatFault):
                raise JudgementError(f"{stream.upper()}: {answer}", failure_of(answer))
            if isinstance(answer, BaseException):
                raise answer
            replies[stream] = answer
        if self._protocol.format is AnswerFormat.JSON:
            return self._read(replies)
        return self._read_public(replies, edit.options.streams)

    def _read_public(self, replies: Mapping[Streams, Reply], streams: Streams) -> Judgement:
        limit = longest_answer(self._config, self._protocol)
        texts = {one: whole_text(reply, one.upper(), limit) for one, reply in replies.items()}
        return read_public(self._protocol, texts, streams)

    def _read(self, replies: Mapping[Streams, Reply]) -> Judgement:
        limit = longest_answer(self._config, self._protocol)
        sc, pq = (replies.get(one) for one in (Streams.SEMANTIC, Streams.PERCEPTUAL))
        limits = (self._protocol, limit)
        semantic = None if sc is None else read_reply(sc, "SC", parse_semantic, *limits)
        perceptual = None if pq is None else read_reply(pq, "PQ", parse_perceptual, *limits)
        return judgement_of(semantic, perceptual, self._protocol)
