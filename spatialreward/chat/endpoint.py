"""Chat completions of an OpenAI-compatible server, asked for with the ``openai`` client.

The client retries after 408, 409, 429, 5xx, a timeout and a lost connection, waits between attempts
and obeys Retry-After up to two minutes. Two httpx hooks add what it lacks: one sends the key and
nothing else of the environment, the other makes a body that is no chat completion, or that drips, a
reason to retry.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import openai
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from spatialreward.chat.config import ChatServer
from spatialreward.chat.faults import ChatFault, ServerFault
from spatialreward.chat.keys import key_of
from spatialreward.chat.reply import Reply
from spatialreward.errors import InvalidInputError

_NO_KEY = "none"
_RETRIES = "x-stainless-retry-count"
"""Header in which the client counts; no error of it says how often it tried."""
_HEADERS = {
    "host", "accept", "accept-encoding", "connection", "content-length", "content-type",
    "transfer-encoding", "user-agent", _RETRIES,
}  # fmt: skip
"""What is sent, beside the key: all that a chat completion needs."""
_FILTERED = re.compile(r"content.?(filter|policy|management)|moderat|flagged|safety", re.I)
_OUT_OF_CREDIT = re.compile(r"insufficient_quota|billing|exceeded your current quota", re.I)
_BUSY_STATUSES = (408, 409)


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Part(_Lenient):
    text: str = ""


class _Message(_Lenient):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(_Lenient):
    message: _Message
    finish_reason: str | None = None


class _Usage(_Lenient):
    prompt_tokens: NonNegativeInt | None = None
    completion_tokens: NonNegativeInt | None = None


class _Completion(_Lenient):
    """What is read of a completion; servers omit other fields of OpenAI's, or name them freely."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    model: str | None = None


class Answered(NamedTuple):
    """What a server answered, and what it took."""

    reply: Reply
    tokens: tuple[int, int] | None
    """Of prompt and completion; None where the server does not say."""
    retries: int


class Endpoint:
    """A server's chat completions; bound to the event loop that first uses it."""

    def __init__(
        self, config: ChatServer, before_attempt: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Connect when first used.

        Args:
            config: which server, and how patiently.
            before_attempt: awaited before each attempt at a request, retries included.

        Raises:
            InvalidInputError: see ``key_of``.
        """
        self._config = config
        self._key = key_of(config)
        self._before_attempt = before_attempt
        # A redirect may lead to another host: refuse it rather than send key and pictures there.
        # Requests to this machine bypass the proxy that the environment names.
        web = openai.DefaultAsyncHttpxClient(
            timeout=config.timeout_s,
            follow_redirects=False,
            event_hooks={"request": [self._prepare], "response": [self._read_all]},
            mounts={f"{urlsplit(config.base_url).scheme}://": None} if config.is_here else None,
        )
        self._client = openai.AsyncOpenAI(
            base_url=config.base_url,
            # Without a value, the package uses OPENAI_API_KEY.
            api_key=self._key or _NO_KEY,
            timeout=config.timeout_s,
            max_retries=config.max_attempts - 1,
            http_client=web,
        )

    async def send(self, body: Mapping[str, Any]) -> Answered:
        """The model's answer.

        Raises:
            ChatFault: there is none, after all retries.
            InvalidInputError: there never will be: the key, the model or the address is wrong.
        """
        try:
            response = await self._client.post(
                "/chat/completions", cast_to=httpx2.Response, body=dict(body)
            )
        except openai.APIStatusError as error:
            # Drop the cause: a server may quote the key in its message.
            raise self._refusal(error) from None
        except openai.APITimeoutError as error:
            detail = f"no answer within {self._config.timeout_s:.3g} s"
            raise ChatFault(ServerFault.TIMEOUT, detail, _retries(error.request)) from None
        except openai.APIConnectionError as error:
            is_malformed = isinstance(error.__cause__, httpx2.DecodingError)
            fault = ServerFault.MALFORMED_REPLY if is_malformed else ServerFault.CONNECTION
            detail = self._clean(_root_of(error))
            raise ChatFault(fault, detail, _retries(error.request)) from None
        return _read(response)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _prepare(self, request: httpx2.Request) -> None:
        """Await the turn of an attempt, and strip headers that the client adds by itself.

        ``OPENAI_ORG_ID``, ``OPENAI_PROJECT_ID``, ``OPENAI_CUSTOM_HEADERS`` and others are meant
        for OpenAI's servers, not for the server in the settings.
        """
        for name in set(request.headers) - _HEADERS:
            del request.headers[name]
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        if self._before_attempt is not None:
            await self._before_attempt()

    async def _read_all(self, response: httpx2.Response) -> None:
        """Read the whole body, in time, and make sure that a success holds a completion.

        httpx counts each read, so a server that sends a byte now and then would never be late.

        Raises:
            httpx2.RequestError: it is late or none; the client retries.
        """
        request = response.request
        try:
            async with asyncio.timeout(self._config.timeout_s):
                await response.aread()
        except TimeoutError:
            raise httpx2.ReadTimeout("the answer did not end in time", request=request) from None
        if not response.is_success:
            return
        try:
            _completion(response)
        except (ValueError, RecursionError) as error:
            what = error.errors()[0]["loc"] if isinstance(error, ValidationError) else error
            begins = response.content[:120].decode(errors="replace")
            raise httpx2.DecodingError(
                f"no chat completion ({what}); begins {begins!r}", request=request
            ) from None

    def _refusal(self, error: openai.APIStatusError) -> ChatFault | InvalidInputError:
        status, retries = error.status_code, _retries(error.request)
        text = self._clean(f"HTTP {status}: {error.body or error.response.text}")
        where = f"{self._config.role} {self._config.base_url}"
        variable = self._config.key_variable
        if status in (400, 403, 422) and _FILTERED.search(text):
            return ChatFault(ServerFault.CONTENT_FILTER, text, retries)
        if status in (401, 403):
            what = (
                f"the key in {variable} was refused"
                if variable
                else "wants a key; name the variable that holds it in api_key_variable"
            )
            return InvalidInputError(f"{where}: {what} ({text})")
        if status == 402 or (status == 429 and _OUT_OF_CREDIT.search(text)):
            return InvalidInputError(f"{where}: the account has no credit left ({text})")
        if 300 <= status < 400:
            there = self._clean(error.response.headers.get("location", "another address"))
            return InvalidInputError(f"{where}: redirects to {there}; set base_url to where it is")
        if status == 404:
            return InvalidInputError(
                f"{where}: no model {self._config.model!r} there, or a wrong address ({text})"
            )
        if status == 429:
            return ChatFault(ServerFault.RATE_LIMITED, text, retries)
        if status >= 500 or status in _BUSY_STATUSES:
            return ChatFault(ServerFault.SERVER_ERROR, text, retries)
        return ChatFault(ServerFault.REQUEST_REFUSED, text, retries)

    def _clean(self, text: str) -> str:
        """Shorten to one line without the key."""
        text = " ".join(text.split())
        if self._key:
            text = text.replace(self._key, "[key]")
        return text[:300]


def _completion(response: httpx2.Response) -> _Completion:
    # Python's parser, as pydantic's own refuses half a surrogate pair, which models write.
    return _Completion.model_validate(response.json())


def _read(response: httpx2.Response) -> Answered:
    completion = _completion(response)
    choice, usage = completion.choices[0], completion.usage or _Usage()
    content = choice.message.content
    reply = Reply(
        text="".join(part.text for part in content) if isinstance(content, list) else content,
        refusal=choice.message.refusal,
        finish_reason=choice.finish_reason,
        model=completion.model or "",
    )
    is_counted = usage.prompt_tokens is not None and usage.completion_tokens is not None
    tokens = (usage.prompt_tokens, usage.completion_tokens) if is_counted else None
    return Answered(reply, tokens, _retries(response.request))


def _retries(request: httpx2.Request) -> int:
    return int(request.headers[_RETRIES])


def _root_of(error: BaseException) -> str:
    while cause := error.__cause__ or error.__context__:
        error = cause
    return f"{type(error).__name__}: {error}"
