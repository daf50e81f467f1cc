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
"""Temperature of a seeded answer, where the settings name none above 0."""
Answer = TypeVar("Answer")
Result = TypeVar("Result")
Parse = Callable[[str, Collection[Mending], AnswerForm], Answer]


class Asker:
    """Queries one endpoint on one event loop, with the settings' limit on parallel requests."""

    def __init__(
        self, config: OpenAiConfig, endpoint: Endpoint, protocol: Protocol, spent: "Spent"
    ) -> None:
        """Prepare without sending; adds tokens to ``spent``."""
        self._config = config
        self._spent = spent
        self._endpoint = endpoint
        self._protocol = protocol
        self._in_flight = asyncio.Semaphore(config.concurrency)

    async def ask(self, question: Question) -> Reply:
        """What the model answers.

        Raises:
            ChatFault: there is no answer.
            InvalidInputError: a retry cannot help: see ``Endpoint.send``.
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
    """The results of several questions, in order; the first error cancels the others.

    Opens its own connections, so none stay open between calls.
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
    """The request for a question."""
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
    """The kind of failure for a fault."""
    is_withheld = fault.fault is ServerFault.CONTENT_FILTER
    return Failure.NO_ANSWER if is_withheld else Failure.JUDGE_FAILED


def longest_answer(config: OpenAiConfig, protocol: Protocol) -> int:
    """Limit of an answer in tokens."""
    return config.max_tokens or protocol.max_answer_tokens


def read_reply(
    reply: Reply, stream: str, parse: Parse[Answer], protocol: Protocol, limit: int
) -> Answer:
    """Parse a reply with the parser of all judges.

    Raises:
        JudgementError: it is not a judgement; the reason begins with the stream.
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
    """The whole text of an answer in prose.

    Raises:
        JudgementError: it is empty or truncated; the reason begins with the stream.
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
        """Start at zero."""
        self.tokens = Tokens(0, 0)
        self._lock = threading.Lock()

    def add(self, prompt: int, completion: int) -> None:
        """Add the tokens of an answer."""
        with self._lock:
            before = self.tokens
            self.tokens = Tokens(before.prompt + prompt, before.completion + completion)


class Silence:
    """Counts consecutive edits without an answer; safe to use from several threads."""

    def __init__(self, config: OpenAiConfig) -> None:
        """Start at zero."""
        self._config = config
        self._edits = 0
        self._lock = threading.Lock()

    def note(self, answers: Sequence[Reply | BaseException]) -> None:
        """Count an edit by the answers to its questions.

        Raises:
            ServerAway: the limit is reached.
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
    """A picture in the protocol's size, limited by the settings."""
    size = picture.size
    if protocol.square_side is not None:
        size = (protocol.square_side, protocol.square_side)
    elif protocol.max_pixels is not None and math.prod(size) > protocol.max_pixels:
        scale = math.sqrt(protocol.max_pixels / math.prod(size))
        size = (max(1, int(size[0] * scale)), max(1, int(size[1] * scale)))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return shrunk(picture, config.pictures)
