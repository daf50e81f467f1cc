"""A judge's question to a model behind an address, and what its answer means."""

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal
from PIL import Image

from spatialreward.chat.endpoint import Endpoint
from spatialreward.chat.faults import UNANSWERED, ChatFault, ServerAway, ServerFault
from spatialreward.chat.pictures import content_part, encoded, shrunk
from spatialreward.chat.reply import Reply
from spatialreward.errors import Failure, JudgementError
from spatialreward.judges.interface import Tokens
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.judges.questions import Question
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import AnswerForm, Mending

_DRAWN_TEMPERATURE = 1.0
"""Of an answer that is drawn with a seed, where the settings name no temperature above 0."""
Answer = TypeVar("Answer")
Result = TypeVar("Result")
Parse = Callable[[str, Collection[Mending], AnswerForm], Answer]


class Asker:
    """Asks one endpoint on one event loop, so many questions at a time as the settings say."""

    def __init__(
        self, config: OpenAiConfig, endpoint: Endpoint, protocol: Protocol, spent: "Spent"
    ) -> None:
        """Ask nothing yet; tokens are added to ``spent``."""
        self._config = config
        self._spent = spent
        self._endpoint = endpoint
        self._protocol = protocol
        self._in_flight = asyncio.Semaphore(config.concurrency)

    async def ask(self, question: Question) -> Reply:
        """What the model answers.

        Raises:
            ChatFault: there is no answer.
            InvalidInputError: there never will be: see ``Endpoint.send``.
        """
        # Encoded when its turn comes: the files of all that wait would fill the memory.
        async with self._in_flight:
            body = await asyncio.to_thread(request_body, question, self._config, self._protocol)
            answered = await self._endpoint.send(body)
        if answered.tokens is not None:
            self._spent.add(*answered.tokens)
        return answered.reply


def ask_all(
    config: OpenAiConfig,
    protocol: Protocol,
    spent: "Spent",
    asking: Sequence[Callable[[Asker], Awaitable[Result]]],
) -> list[Result]:
    """What comes of asking, in order; one that raises ends all of it.

    Connections are this call's own, so nothing is held between calls.
    """

    async def ask_together() -> list[Result]:
        endpoint = Endpoint(config)
        asker = Asker(config, endpoint, protocol, spent)
        tasks = [asyncio.ensure_future(one(asker)) for one in asking]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await endpoint.close()

    if not asking:
        return []
    with start_blocking_portal(name="openai-judge") as portal:
        return portal.call(ask_together)


def request_body(question: Question, config: OpenAiConfig, protocol: Protocol) -> dict[str, Any]:
    """What is sent for a question."""
    form = config.pictures
    content = [
        content_part(
            part if isinstance(part, str) else encoded(_shown(part, config, protocol), form), form
        )
        for part in question.parts
    ]
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if question.system is not None:
        turns.insert(0, {"role": "system", "content": question.system})
    body = config.body(turns, longest_answer(config, protocol))
    if question.seed is not None:
        body["seed"] = question.seed
        if config.temperature == 0.0:
            body["temperature"] = _DRAWN_TEMPERATURE
    return body


def failure_of(fault: ChatFault) -> Failure:
    """Which failure it is that a question has no answer."""
    is_withheld = fault.fault is ServerFault.CONTENT_FILTER
    return Failure.NO_ANSWER if is_withheld else Failure.JUDGE_FAILED


def longest_answer(config: OpenAiConfig, protocol: Protocol) -> int:
    """How many tokens an answer may have."""
    return config.max_tokens or protocol.max_answer_tokens


def read_reply(
    reply: Reply, stream: str, parse: Parse[Answer], protocol: Protocol, limit: int
) -> Answer:
    """What a model answered, by the parser of all judges.

    Raises:
        JudgementError: that is no judgement; the reason begins with the stream.
    """
    _refuse_silence(reply, stream)
    try:
        return parse(reply.text or "", protocol.mendings, protocol.answer)
    except JudgementError as error:
        if reply.finish_reason == "length":
            raise JudgementError(
                f"{stream}: answer is longer than {limit} tokens", Failure.CUT_OFF
            ) from error
        raise JudgementError(f"{stream}: {error}", error.failure) from error


def whole_text(reply: Reply, stream: str, limit: int) -> str:
    """All of an answer that no object ends.

    Raises:
        JudgementError: there is none, or it was cut off; the reason begins with the stream.
    """
    _refuse_silence(reply, stream)
    if reply.finish_reason == "length":
        raise JudgementError(f"{stream}: answer is longer than {limit} tokens", Failure.CUT_OFF)
    return reply.text or ""


def _refuse_silence(reply: Reply, stream: str) -> None:
    if reply.finish_reason == "content_filter":
        raise JudgementError(f"{stream}: the server withheld the answer", Failure.NO_ANSWER)
    if reply.refusal:
        raise JudgementError(
            f"{stream}: the model refused: {reply.refusal[:200]!r}", Failure.NO_ANSWER
        )


class Spent:
    """Adds up tokens; safe to use from several threads."""

    def __init__(self) -> None:
        """Begin at none."""
        self.tokens = Tokens(0, 0)
        self._lock = threading.Lock()

    def add(self, prompt: int, completion: int) -> None:
        """Count an answer."""
        with self._lock:
            before = self.tokens
            self.tokens = Tokens(before.prompt + prompt, before.completion + completion)


class Silence:
    """Counts the edits in a row that a server did not answer; safe to use from several threads."""

    def __init__(self, config: OpenAiConfig) -> None:
        """Begin at none."""
        self._config = config
        self._edits = 0
        self._lock = threading.Lock()

    def note(self, answers: Sequence[Reply | BaseException]) -> None:
        """Count an edit by what came of its questions.

        Raises:
            ServerAway: it is one too many.
        """
        faults = [one for one in answers if isinstance(one, ChatFault) and one.fault in UNANSWERED]
        with self._lock:
            self._edits = self._edits + 1 if len(faults) == len(answers) else 0
            count, limit = self._edits, self._config.give_up_after
        if limit is not None and count >= limit:
            raise ServerAway(
                f"judge {self._config.base_url}: {count} edits in a row got no answer; the last "
                f"one: {faults[-1]}"
            )


def _shown(picture: Image.Image, config: OpenAiConfig, protocol: Protocol) -> Image.Image:
    """A picture as the protocol shows it, and no larger than the settings allow."""
    size = picture.size
    if protocol.square_side is not None:
        size = (protocol.square_side, protocol.square_side)
    elif protocol.max_pixels is not None and math.prod(size) > protocol.max_pixels:
        scale = math.sqrt(protocol.max_pixels / math.prod(size))
        size = (max(1, int(size[0] * scale)), max(1, int(size[1] * scale)))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return shrunk(picture, config.pictures)
