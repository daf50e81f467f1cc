"""Any model that speaks OpenAI's chat completions as a judge, asked in the words of a protocol.

It writes scores and tells no distribution of them, so it has no soft scores; nor can it say which
weights answered. Left out: asking again for an answer that cannot be read, which would be another
judgement, and asking the server to hold answers to a form, which servers do in different ways.
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

    Each call of ``judge`` has connections of its own, so nothing is held between calls.
    """

    def __init__(self, config: OpenAiConfig, protocol: Protocol = FULL) -> None:
        """Send nothing yet.

        Args:
            config: which model, where, and how it is asked.
            protocol: the words it is asked in, and how its scores become a reward.

        Raises:
            InvalidInputError: the key is not set, the protocol has a chat template, which the
                server of a model puts around a prompt itself, or it reads score heads.
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

        An edit whose answer cannot be read, or that the server does not answer, gets a failed one,
        whose reason names it; so does one for which soft scores are asked for by name.

        Raises:
            InvalidInputError: something among ``edits`` is no edit; or the server refuses the key,
                knows no such model, wants money or redirects.
            ServerAway: so many edits in a row as ``give_up_after`` says got no answer.
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

    def tell(self, listener: Listener) -> None:
        """See ``Writing``."""
        self._listener = listener

    def close(self) -> None:
        """Nothing is held; the judge cannot be asked any more."""
        self._is_closed = True

    async def _judge_one(self, asker: Asker, edit: Edit, name: str) -> Judgement:
        try:
            judgement = await self._ask_streams(asker, edit)
        except JudgementError as error:
            logger.info("%s: no judgement, %s", name, error)
            judgement = Judgement.failed(f"{name}: {error}", error.failure)
        told = {"judged_by": str(self.identity), "answer": self._protocol.answer}
        return judgement.model_copy(update=told)

    async def _ask_streams(self, asker: Asker, edit: Edit) -> Judgement:
        if edit.options.names_soft_scores:
            raise JudgementError(
                "soft scores were asked for, and a model behind an address tells no distribution "
                "of its scores; ask for hard scores",
                Failure.NO_SOFT_SCORE,
            )
        if failed := refusal(self._protocol, edit):
            return failed
        asked = self._protocol.format.questions(edit.options.streams)
        # Both to their end: one answer tells that the server is there.
        answers = await asyncio.gather(
            *(asker.ask(_ASK[one](self._protocol, edit)) for one in asked),
            return_exceptions=True,
        )
        self._silence.note(answers)
        answered = zip(asked, answers, strict=True)
        self._listener(edit, {one: told.words for one, told in answered if isinstance(told, Reply)})
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
        told = (self._protocol, limit)
        semantic = None if sc is None else read_reply(sc, "SC", parse_semantic, *told)
        perceptual = None if pq is None else read_reply(pq, "PQ", parse_perceptual, *told)
        return judgement_of(semantic, perceptual, self._protocol)
